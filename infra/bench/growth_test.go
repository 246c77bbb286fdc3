package main

import (
	"testing"

	"countersign/infra/dynamolocal/dynamolocaltest"
)

func TestTheCallsThatAreMeasuredGoThroughAllUsers(t *testing.T) {
	const users = 300
	c, err := tableOf(t.Context(), dynamolocaltest.Endpoint(t), users)
	if err != nil {
		t.Fatal(err)
	}
	for _, call := range c.calls() {
		p, err := pass(t.Context(), call, 2, users)
		if err != nil || p.seconds <= 0 || p.memory < 0 || p.name != call.name {
			t.Errorf("%s: got %+v, %v", call.name, p, err)
		}
		if _, err := pass(t.Context(), call, 1, users+1); err == nil {
			t.Errorf("%s: it isn't noticed that users are missing", call.name)
		}
	}
}
