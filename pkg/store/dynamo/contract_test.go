package dynamo_test

import (
	"testing"
	"time"

	"countersign/infra/dynamolocal/dynamolocaltest"
	"countersign/pkg/store"
	"countersign/pkg/store/dynamo"
	"countersign/pkg/store/dynamo/stream"
	"countersign/pkg/store/storetest"
)

func TestATableKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(t testing.TB, now func() time.Time) (store.Store, store.Feed) {
		endpoint, name := dynamolocaltest.Endpoint(t), newTable(t)
		return dynamo.New(dynamo.Options{Client: dynamo.LocalClient(endpoint), Table: name, Now: now}),
			stream.New(stream.Options{Client: stream.LocalClient(endpoint), Table: name})
	})
}
