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

// If the store never answers, a call still ends after the longest time that a call may take.
func TestACallEndsWithItsTimeWhateverTheStoreDoes(t *testing.T) {
	clock := storetest.NewClock(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
	db := fault.New(storetest.NewModel(clock.Now))
	w := newWorldOver(t, clock, db)
	w.door = api.New(api.Options{Timeout: 20 * time.Millisecond}, api.Challenge(w.service), api.Policy(w.service))
	db.Inject(fault.Any, -1, fault.Hold(nil, nil))
	w.refused("a start", w.do("POST", "/v1/challenges", ana), 503, mfa.Unavailable, "")
	w.refused("a policy", w.do("GET", "/v1/orgs/acme/policy", ""), 503, mfa.Unavailable, "")
}

// A body that isn't declared as JSON isn't read, whether it is empty or not.
func TestABodyThatIsNotDeclaredIsUnsupportedEvenWhereItIsEmpty(t *testing.T) {
	w := newWorld(t)
	for _, body := range []string{ana, "{}", ""} {
		got := w.do(http.MethodPost, "/v1/challenges", body, without("Content-Type"))
		w.refused("undeclared: "+body, got, 415, "unsupported_media_type", "")
	}
}
