package main

import (
	"testing"

	"countersign/infra/dynamolocal/dynamolocaltest"
	"countersign/pkg/activity"
	"countersign/pkg/mfa"
)

func TestAllUsersOfACrowdAreSignedOutAndToldOfOnce(t *testing.T) {
	const users = 300
	source, err := populated(t.Context(), users)
	if err != nil {
		t.Fatal(err)
	}
	defer source.end()
	w, err := emptyTable(t.Context(), dynamolocaltest.Endpoint(t), "signout")
	if err != nil {
		t.Fatal(err)
	}
	if err := copyRoster(t.Context(), source.disk, w.Store); err != nil {
		t.Fatal(err)
	}
	if err := copyGuards(t.Context(), source.disk, w.Store, users); err != nil {
		t.Fatal(err)
	}
	if err := w.settled(t.Context(), users); err == nil {
		t.Error("it isn't noticed that no user was settled")
	}
	if took, err := w.signsOut(t.Context(), nil, users); err != nil || took <= 0 {
		t.Errorf("on DynamoDB Local: got %v, %v", took, err)
	}
	if took, err := source.signsOut(t.Context(), source.disk, users); err != nil || took <= 0 {
		t.Errorf("on the embedded store: got %v, %v", took, err)
	}
}

func TestABusThatWasToldOfAUserTwiceOrNeverIsNoticed(t *testing.T) {
	ana, zoe := activity.Event{ID: "ev_1", Type: mfa.UserSignedOut, User: "ana"}, activity.Event{ID: "ev_2", Type: mfa.UserSignedOut, User: "zoe"}
	for name, events := range map[string][]activity.Event{
		"never":             {ana},
		"twice":             {ana, zoe, zoe},
		"under two ids":     {ana, {ID: "ev_3", Type: mfa.UserSignedOut, User: "ana"}},
		"of someone else":   {ana, zoe, {ID: "ev_4", Type: mfa.UserSignedOut, User: "eve"}},
		"of something else": {ana, {ID: "ev_2", Type: mfa.UserCreated, User: "zoe"}},
	} {
		told := &toldUsers{events: map[string]string{}}
		if err := told.PutEvents(t.Context(), events); err != nil {
			t.Fatal(err)
		}
		if err := told.check(2); err == nil {
			t.Errorf("%s: it isn't noticed", name)
		}
	}
}
