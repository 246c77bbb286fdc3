package storetest_test

import (
	"testing"
	"time"

	"countersign/pkg/store"
	"countersign/pkg/store/storetest"
)

func TestTheModelKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(_ testing.TB, now func() time.Time) (store.Store, store.Feed) {
		m := storetest.NewModel(now)
		return m, m
	})
}
