package activity

import "testing"

// signIn returns the events of a sign-in by app or by email: those of its start, and those of its answer.
func signIn(mailed bool) (begun, answered []Filing) {
	key := NewKey().Entry(now)
	random := func() string { return b64(NewKey()[:16]) }
	challenge, factor := "ch_"+b64(string(ana)+string(NewKey()[:16])), "fa_"+random()
	event := func(kind string, data map[string]any) Filing {
		data["challenge"] = challenge
		return Filing{
			Event: Event{
				ID: "ev_" + random(), Type: kind, Time: now, Org: "acme", User: "6c1f8a52-2f0b-4c06-9d0e-8a3c7c3f9b11",
				Actor: Actor{"user", "6c1f8a52-2f0b-4c06-9d0e-8a3c7c3f9b11"}, PolicyVersion: 3, Data: data,
			},
			Route: ana, Key: key,
		}
	}
	begun = append(begun, event("challenge.started", map[string]any{
		"reason": "required", "ip": "203.0.113.77",
		"user_agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
	}))
	kind := "totp"
	if mailed {
		kind = "email"
		begun = append(begun, event("challenge.sent", map[string]any{"kind": kind, "factor": factor, "sequence": "A"}))
	}
	return begun, append(answered, event("challenge.verified", map[string]any{"kind": kind, "factor": factor}))
}

func TestTheEntriesOfASignInAreSmall(t *testing.T) {
	for name, c := range map[string]struct {
		mailed          bool
		begun, answered int // the most bytes
	}{"by app": {false, 120, 120}, "by a code that is mailed": {true, 166, 120}} {
		begun, answered := signIn(c.mailed)
		if got := len(stored(t, begun...).bytes); got > c.begun {
			t.Errorf("%s: begun in %d bytes, want at most %d", name, got, c.begun)
		}
		if got := len(stored(t, answered...).bytes); got > c.answered {
			t.Errorf("%s: answered in %d bytes, want at most %d", name, got, c.answered)
		}
	}
}
