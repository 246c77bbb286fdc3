package api_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/store/bolt"
	"countersign/pkg/store/fault"
	"countersign/pkg/store/storetest"
)

func once(key string) alteration { return with("Idempotency-Key", key) }

func TestARepeatedPostGivesTheOriginalAnswerAndDoesNothing(t *testing.T) {
	w := newWorld(t)
	w.asks()
	first := w.wants("first", w.do("POST", "/v1/challenges", ana, once("k1"), with("X-Request-Id", "r-1")), 201)
	again := w.wants("again", w.do("POST", "/v1/challenges", ana, once("k1"), with("X-Request-Id", "r-2")), 201)
	if again.text != first.text || len(w.mail.codes) != 1 {
		t.Errorf("got %s and %d messages, want the first answer and 1 message", again.text, len(w.mail.codes))
	}
	if again.header.Get("X-Request-Id") != "r-2" || again.header.Get("Content-Type") != "application/json" {
		t.Errorf("the headers: got %v", again.header)
	}
	if other := w.wants("another key", w.do("POST", "/v1/challenges", ana, once("k2")), 201); other.text == first.text {
		t.Error("another key gives the same answer")
	}
	w.refused("another body", w.do("POST", "/v1/challenges", ana+" ", once("k1")), 422, mfa.IdempotencyMismatch, "")

	verify := "/v1/challenges/" + first.word("challenge.id") + "/verify"
	wrong := w.do("POST", verify, `{"code":"x"}`, once("k1"))
	w.refused("another path, and what never got as far as being decided", wrong, 400, mfa.InvalidRequest, "code")
	miss := `{"code":"000000"}`
	if w.mail.codes[0] == "000000" {
		miss = `{"code":"000001"}`
	}
	counted := w.do("POST", verify, miss, once("k3"), with("X-Request-Id", "r-3"))
	w.refused("a wrong code", counted, 422, mfa.WrongCode, "")
	repeated := w.do("POST", verify, miss, once("k3"), with("X-Request-Id", "r-4"))
	if repeated.text != counted.text || repeated.at("attempts_left") != 4.0 {
		t.Errorf("a wrong code again: got %s, want %s", repeated.text, counted.text)
	}
	right := `{"code":"` + w.mail.codes[0] + `","trust":{"name":"n"}}`
	verified := w.wants("verify", w.do("POST", verify, right, once("k4")), 200)
	if got := w.wants("verify again", w.do("POST", verify, right, once("k4")), 200); got.text != verified.text {
		t.Errorf("verify again: got %s, want %s", got.text, verified.text)
	}
	w.refused("verify again without a key", w.do("POST", verify, right), 404, mfa.ChallengeInvalid, "")
}

func TestWhatIsShownOnceIsLeftOutOfALateRepetition(t *testing.T) {
	w := newWorld(t)
	w.asks()
	first := w.wants("first", w.do("POST", "/v1/challenges", ana, once("k")), 201)
	verify := "/v1/challenges/" + first.word("challenge.id") + "/verify"
	right := `{"code":"` + w.mail.last() + `","trust":{"name":"n"}}`
	verified := w.wants("verify", w.do("POST", verify, right, once("k")), 200)
	w.clock.Advance(10 * time.Minute)
	late := w.wants("late", w.do("POST", "/v1/challenges", ana, once("k")), 201)
	if late.at("challenge.token") != nil || late.word("challenge.id") != first.word("challenge.id") {
		t.Errorf("a start after 10 minutes: got %s", late.text)
	}
	lateVerify := w.wants("late", w.do("POST", verify, right, once("k")), 200)
	if lateVerify.at("trust_token") != nil || lateVerify.word("token") != verified.word("token") {
		t.Errorf("a verify after 10 minutes: got %s, want the original token and no trust token", lateVerify.text)
	}
	w.clock.Advance(24 * time.Hour)
	w.refused("after a day", w.do("POST", verify, right, once("k")), 404, mfa.ChallengeInvalid, "")
}

func TestWhatPassesByItselfIsTriedAnew(t *testing.T) {
	w := newWorld(t)
	w.asks()
	send := "/v1/challenges/" + w.start().word("challenge.id") + "/send"
	w.refused("too soon", w.do("POST", send, `{}`, once("k")), 429, mfa.TooManySends, "")
	w.clock.Advance(31 * time.Second)
	w.mail.broken = true
	w.refused("a broken provider", w.do("POST", send, `{}`, once("k")), 502, mfa.DeliveryFailed, "")
	w.mail.broken = false
	w.wants("later", w.do("POST", send, `{}`, once("k")), 200)
}

func TestARepeatedAnswerSaysNothingOfACodeWhoseHandOverIsNotKnown(t *testing.T) {
	clock := storetest.NewClock(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
	kept, err := bolt.Open(filepath.Join(t.TempDir(), "store"), bolt.Options{Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kept.Close() })
	db := fault.New(kept)
	w := newWorldOver(t, clock, db)
	unknown := func(name, within, path, body string, alterations ...alteration) reply {
		alterations = append(alterations, once("unknown"))
		db.Inject(fault.Commit, -1, fault.Lose(nil))
		w.refused(name+", its answer lost", w.do("POST", path, body, alterations...), 503, mfa.Unavailable, "")
		db.Clear()
		got := w.do("POST", path, body, alterations...)
		if got.status >= 300 || got.at(within+"sent") != nil || got.word(within+"send_error") != "delivery_unknown" || !strings.Contains(got.text, `"sent":null`) {
			t.Errorf("%s: got %d %s, want delivery_unknown", name, got.status, got.text)
		}
		return got
	}
	begun := unknown("an enrolment", "", "/v1/enrolments", strings.Replace(anasApp, "totp", "email", 1), w.reauthenticated())
	clock.Advance(30 * time.Second)
	unknown("an enrolment's code again", "", "/v1/enrolments/"+begun.word("id")+"/send", `{}`)
	w.asks()
	started := unknown("a start", "challenge.", "/v1/challenges", ana)
	clock.Advance(30 * time.Second)
	unknown("a code again", "", "/v1/challenges/"+started.word("challenge.id")+"/send", `{}`)
	w.wants("the policy", w.do("PUT", "/v1/orgs/acme/policy", `{"require":"everyone","acknowledge":true}`, with("If-Match", `"1"`)), 200)
	forced := w.wants("to enrol", w.do("POST", "/v1/challenges", ana), 201)
	unknown("a proof", "prove.", "/v1/enrolments", `{"kind":"totp"}`, as(forced.word("enrolment.token")))
	if len(w.mail.codes) != 0 {
		t.Errorf("got %d messages, want none", len(w.mail.codes))
	}
}

func TestOneKeyUsedByManyAtOnceDoesTheWorkOnce(t *testing.T) {
	w := newWorld(t)
	w.asks()
	var all sync.WaitGroup
	var mu sync.Mutex
	ids := map[string]int{}
	for range 8 {
		all.Go(func() {
			got := w.do("POST", "/v1/challenges", ana, once("k"))
			for got.at("code") == "busy" {
				got = w.do("POST", "/v1/challenges", ana, once("k"))
			}
			mu.Lock()
			defer mu.Unlock()
			ids[got.word("challenge.id")]++
		})
	}
	all.Wait()
	if len(ids) != 1 || len(w.mail.codes) != 1 {
		t.Errorf("got %d challenges and %d messages, want 1 of each: %v", len(ids), len(w.mail.codes), ids)
	}
}

func TestAnOddIdempotencyKeyIsRefusedWhereItCounts(t *testing.T) {
	w := newWorld(t)
	for name, bad := range map[string]string{"empty": "", "too long": strings.Repeat("k", 256), "not ASCII": "clé", "a tab": "a\tb"} {
		w.refused(name, w.do("POST", "/v1/challenges", ana, once(bad)), 400, mfa.InvalidRequest, "Idempotency-Key")
		w.wants(name, w.do("POST", "/v1/decisions", ana, once(bad)), 200)
		w.wants(name, w.do("POST", policy+"/preview", `{}`, once(bad)), 200)
		w.wants(name, w.do("PUT", "/v1/orgs/acme/users/u", `{}`, once(bad)), 200)
		w.wants(name, w.do("GET", "/v1/orgs/acme/users/u", "", once(bad)), 200)
	}
	w.refused("two", w.do("POST", "/v1/challenges", ana, once("a"), func(r *http.Request) { r.Header.Add("Idempotency-Key", "b") }),
		400, mfa.InvalidRequest, "Idempotency-Key")
	w.wants("the first and last printable characters", w.do("POST", "/v1/challenges", ana, once("! a ~")), 200)
	w.wants("as long as may be", w.do("POST", "/v1/challenges", ana, once(strings.Repeat("k", 255))), 200)
}

func TestADecisionIsMadeAnewWhateverItsIdempotencyKey(t *testing.T) {
	w := newWorld(t)
	before := w.wants("before", w.do("POST", "/v1/decisions", ana, once("k")), 200)
	w.asks()
	after := w.wants("after", w.do("POST", "/v1/decisions", ana, once("k")), 200)
	if before.word("decision") != "allow" || after.word("decision") != "challenge" {
		t.Errorf("got %s and %s, want allow and then challenge", before.text, after.text)
	}
}

// An Idempotency-Key holds for one path, with all ids in it. The same body and key for two challenges are two calls.
func TestOneKeyAtTwoChallengesIsTwoCalls(t *testing.T) {
	w := newWorld(t)
	w.asks()
	first, second := w.start().word("challenge.id"), w.start().word("challenge.id")
	right := `{"code":"` + w.mail.last() + `"}` // the code of the second challenge
	for _, c := range []struct {
		id     string
		status int
	}{{first, 422}, {second, 200}, {first, 422}, {second, 200}} {
		got := w.do("POST", "/v1/challenges/"+c.id+"/verify", right, once("k"))
		if got.status != c.status {
			t.Errorf("got %d %s, want %d", got.status, got.text, c.status)
		}
	}
}
