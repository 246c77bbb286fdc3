package api_test

import (
	"net/http"
	"testing"
	"time"

	"countersign/pkg/api"
	"countersign/pkg/mfa"
	"countersign/pkg/store/fault"
	"countersign/pkg/store/storetest"
)

// A store that never answers keeps a caller for as long as a call may take, and no longer.
func TestACallEndsWithItsTimeWhateverTheStoreDoes(t *testing.T) {
	clock := storetest.NewClock(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
	db := fault.New(storetest.NewModel(clock.Now))
	w := newWorldOver(t, clock, db)
	w.door = api.New(api.Options{Timeout: 20 * time.Millisecond}, api.Challenge(w.service), api.Policy(w.service))
	db.Inject(fault.Any, -1, fault.Hold(nil, nil))
	w.refused("a start", w.do("POST", "/v1/challenges", ana), 503, mfa.Unavailable, "")
	w.refused("a policy", w.do("GET", "/v1/orgs/acme/policy", ""), 503, mfa.Unavailable, "")
}

// What isn't declared to be JSON isn't looked at, whether there is a body or not.
func TestABodyThatIsNotDeclaredIsUnsupportedEvenWhereItIsEmpty(t *testing.T) {
	w := newWorld(t)
	for _, body := range []string{ana, "{}", ""} {
		got := w.do(http.MethodPost, "/v1/challenges", body, without("Content-Type"))
		w.refused("undeclared: "+body, got, 415, "unsupported_media_type", "")
	}
}
