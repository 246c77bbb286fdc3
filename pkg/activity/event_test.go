package activity_test

import (
	"encoding/json"
	"testing"
	"time"

	"countersign/pkg/activity"
)

func TestAnEventHasAllOfItsFieldsInJSONEvenIfItNamesNobody(t *testing.T) {
	e := activity.Event{ID: "ev_1", Type: "policy.changed", Time: time.Unix(0, 0).UTC(), Org: "acme", Actor: activity.Actor{Kind: "service"}, Data: map[string]any{}}
	for want, about := range map[string]func(){
		`{"id":"ev_1","type":"policy.changed","time":"1970-01-01T00:00:00Z","org":"acme","user":null,"actor":{"kind":"service","id":null},"policy_version":0,"data":{}}`: func() {},
		`{"id":"ev_1","type":"policy.changed","time":"1970-01-01T00:00:00Z","org":"acme","user":"u-17","actor":{"kind":"client","id":"portal"},"policy_version":0,"data":{}}`: func() {
			e.User, e.Actor = "u-17", activity.Actor{Kind: "client", ID: "portal"}
		},
	} {
		e.User, e.Actor = "", activity.Actor{Kind: "service"}
		about()
		got, err := json.Marshal(e)
		if err != nil || string(got) != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
		var again activity.Event
		if err := json.Unmarshal(got, &again); err != nil || again.User != e.User || again.Actor != e.Actor {
			t.Errorf("%s was read as %+v, %v", got, again, err)
		}
	}
}
