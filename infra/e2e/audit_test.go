package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"countersign/pkg/seal"
)

// claimed is what a checkpoint says.
type claimed struct {
	Serial int
	Day    string
	Events int
	Before *struct{ Hash string }
}

// checkpoints returns those checkpoints of acme that are on the bus, after it has verified each with the published keys.
func (w *world) checkpoints(t *testing.T) (all []claimed, signed []string) {
	t.Helper()
	jwks := w.do(t, call{method: "GET", path: "/.well-known/jwks.json"}).want(t, 200, "")
	keys, err := seal.ReadCheckpointKeys([]byte(jwks.raw))
	if err != nil || len(keys) == 0 {
		t.Fatalf("got %d keys for checkpoints, %v", len(keys), err)
	}
	for _, item := range w.do(t, call{method: "GET", path: "/local/events"}).want(t, 200, "").list("events") {
		e := doc(item.(map[string]any))
		if e.text("type") != "activity.checkpointed" || e.text("org") != "acme" {
			continue
		}
		text := e.text("data", "checkpoint")
		said, err := keys.Verify(text)
		if err != nil {
			t.Fatal(err)
		}
		var c claimed
		if err := json.Unmarshal(said, &c); err != nil {
			t.Fatal(err)
		}
		all, signed = append(all, c), append(signed, text)
	}
	return all, signed
}

// Who keeps the events of the bus can later show what the activity had.
func TestL11TheBusHasASignedCheckpointOfEachHourOfActivity(t *testing.T) {
	klsWorld(t, func(t *testing.T, w *world) {
		for range 2 {
			id := w.asked(t, ana, nil).text("challenge", "id")
			w.verify(t, id, doc{"code": w.code(t, ana.email)}).want(t, 200, "")
			w.do(t, call{method: "GET", path: "/local/events"}).want(t, 200, "") // so that all is filed
			w.advance(t, time.Hour)
			for range 2 {
				w.do(t, call{method: "POST", path: "/local/sweep"}).want(t, 200, "")
			}
		}
		all, signed := w.checkpoints(t)
		if len(all) != 2 && len(all) != 3 { // a local server runs the sweep when it starts, which may make one more
			t.Fatalf("got %d checkpoints, want one of each hour: %+v", len(all), all)
		}
		for i, c := range all {
			if c.Serial != i+1 || c.Events == 0 || (c.Before == nil) != (i == 0) {
				t.Errorf("got %+v, want each linked to the one before", all)
				continue
			}
			if i == 0 {
				continue
			}
			if sum := sha256.Sum256([]byte(signed[i-1])); c.Before.Hash != base64.RawURLEncoding.EncodeToString(sum[:]) {
				t.Errorf("checkpoint %d is linked to another one than that before it", c.Serial)
			}
		}
		list := w.do(t, call{method: "GET", path: "/v1/orgs/acme/activity?type=activity.checkpointed"}).want(t, 200, "")
		if len(list.list("items")) != 0 {
			t.Errorf("checkpoints are in the activity that they tell of: %s", list.raw)
		}
	})
}
