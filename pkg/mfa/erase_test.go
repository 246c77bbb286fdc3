package mfa_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/store"
	"countersign/pkg/store/storetest"
)

// erin is a user about whom everything is known that can be known. None of these texts is found anywhere else.
var erin = struct{ id, mail, phone, name, browser, label, agent, ip, reason string }{
	"erin-4711", "erin.osei@mail.example", "+447700900123", "Erin Osei", "Erin's laptop", "Erin's telephone", "Erinbrowser/9.7", "203.0.113.77",
	"Erin lost everything",
}

// traces returns the forms in which an item could hold a text.
func traces(text string) []string {
	found := []string{text, hex.EncodeToString([]byte(text))}
	for shift := range 3 {
		whole := base64.RawStdEncoding.EncodeToString([]byte("xyz"[:shift] + text))
		whole = whole[(shift*8+5)/6 : len(whole)-1] // cut off the characters that depend on the neighbouring bytes
		found = append(found, whole, strings.NewReplacer("+", "-", "/", "_").Replace(whole))
	}
	return found
}

// A wholeStore is a store that a test can read from end to end, together with the events that each item still carries.
type wholeStore struct {
	*storetest.Model
	rode map[store.Key]store.Record
}

// Deliver implements store.Feed.
func (s *wholeStore) Deliver(ctx context.Context, limit int, fn func(context.Context, []store.Record) error) error {
	return s.Model.Deliver(ctx, limit, func(ctx context.Context, records []store.Record) error {
		for _, r := range records {
			s.rode[r.Key] = r
		}
		return fn(ctx, records)
	})
}

// live returns each item that hasn't expired as a line of text. In DynamoDB an item keeps its events until it is written
// again.
func (s *wholeStore) live() map[store.Key]string {
	all := map[store.Key]string{}
	for _, item := range s.Items() {
		all[item.Key] = item.Key.Partition + " " + item.Key.Sort + " " + string(item.Body)
		if r := s.rode[item.Key]; r.Version == item.Version {
			all[item.Key] += " " + string(r.Events)
		}
	}
	return all
}

// orNull makes erin leave everything in the store that a user can leave.
func orNull(t *testing.T, w *mfatest.World) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.Trust.Days, p.Trust.Cap = 30, 5 })
	q := mfa.StartRequest{
		Org:     org,
		User:    mfa.Person{ID: erin.id, Email: mfa.Some(erin.mail), Phone: mfa.Some(erin.phone), Name: mfa.Some(erin.name)},
		Context: mfa.Context{IP: erin.ip, UserAgent: erin.agent},
	}
	enrol := func(call mfa.Call, kind mfa.Kind) mfa.EnrolAnswer {
		begun, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Org: org, User: &q.User, Kind: kind, Label: erin.label})
		must(err)
		return begun
	}
	begun := enrol(w.Fresh(), mfa.TOTP)
	a := typed(t, begun)
	done, err := w.FinishEnrolment(t.Context(), w.Client, mfa.FinishRequest{Enrolment: begun.ID, Answer: mfa.Answer{Code: w.Code(a)}})
	must(err)
	if len(done.RecoveryCodes) == 0 {
		t.Fatal("no recovery codes were made")
	}
	step := q
	step.Purpose = mfa.StepUp
	answer, err := w.StartChallenge(t.Context(), w.Client, step)
	must(err)
	w.Clock.Advance(time.Minute)
	proof, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: answer.Challenge.ID, Answer: mfa.Answer{Code: w.Code(a)}})
	must(err)
	call := w.Fresh()
	call.Proof = proof.Token
	begun = enrol(call, mfa.Email)
	_, err = w.FinishEnrolment(t.Context(), w.Client, mfa.FinishRequest{Enrolment: begun.ID, Answer: mfa.Answer{Code: w.Outbox.Code(t, erin.mail)}})
	must(err)
	for range 3 {
		ch := started(t, w, q)
		w.Clock.Advance(time.Minute)
		_, err = w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ch.ID, Answer: mfa.Answer{Code: w.Code(a)}, Trust: &mfa.TrustChoice{Name: erin.browser}})
		must(err)
		w.Clock.Advance(10 * 24 * time.Hour)
	}
	if n := sweep(t, w); n != 1 { // the first of the three trusted browsers has ended
		t.Fatalf("got %d ends announced, want 1", n)
	}
	// These attempts and enrolments are still open when she is erased.
	for range 3 {
		_, err = verify(t, w, started(t, w, q).ID, mfatest.Wrong(w.Code(a)), false)
		wantCode(t, err, mfa.WrongCode)
	}
	_, err = w.BeginEnrolment(t.Context(), w.Client, mfa.EnrolRequest{
		Org: org, User: &q.User, Kind: mfa.Email, Label: erin.label, OnBehalf: &mfa.Intervention{Actor: "olaf", Reason: erin.reason},
	})
	wantCode(t, err, mfa.AlreadyExists)
	_, err = w.BeginEnrolment(t.Context(), w.Client, mfa.EnrolRequest{
		Org: org, User: &q.User, Kind: mfa.TOTP, Label: erin.label, OnBehalf: &mfa.Intervention{Actor: "olaf", Reason: erin.reason},
	})
	must(err)
	_, err = w.StartChallenge(t.Context(), keyed(w.Client, "/v1/challenges", "k", "{}"), q)
	must(err)
}

func TestAnErasureLeavesNoTraceInTheWholeStore(t *testing.T) {
	for _, early := range []bool{true, false} { // whether her events are published before she is erased or after
		clock := storetest.NewClock(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
		db := &wholeStore{storetest.NewModel(clock.Now), map[store.Key]store.Record{}}
		w := mfatest.Over(t, db, db, clock)
		orNull(t, w)
		find := func() (found []string) {
			for _, text := range []string{erin.id, erin.mail, erin.phone, erin.name, erin.browser, erin.label, erin.agent, erin.ip, erin.reason} {
				for key, item := range db.live() {
					for _, trace := range traces(text) {
						if strings.Contains(item, trace) {
							found = append(found, fmt.Sprintf("%q in %v: %s", text, key, item))
						}
					}
				}
			}
			return found
		}
		if early {
			w.Drain(t)
		}
		all := strings.Join(find(), "\n")
		for _, place := range []string{" guard}", " factor#", " browser#", " enrolment}", "{roster#", "{ch_"} {
			if !strings.Contains(all, place) {
				t.Errorf("nothing of her is at %q before: the test doesn't find what it should", place)
			}
		}
		for _, text := range []string{erin.id, erin.mail, erin.phone, erin.name, erin.browser, erin.label} {
			if !strings.Contains(all, fmt.Sprintf("%q in", text)) {
				t.Errorf("%q isn't found before", text)
			}
		}
		if err := w.EraseUser(t.Context(), w.Client, org, erin.id); err != nil {
			t.Fatal(err)
		}
		w.Drain(t)
		for _, left := range find() {
			if !strings.Contains(left, "{ch_") && !strings.Contains(left, " erased#") {
				t.Errorf("at once, published before %v: got %s", early, left)
			}
		}
		w.Clock.Advance(30 * time.Minute)
		for _, left := range find() {
			t.Errorf("published before %v: got %s", early, left)
		}
		if pages, err := w.CheckActivity(t.Context(), org); err != nil || pages == 0 {
			t.Errorf("the chain: got %d pages, %v", pages, err)
		}
		w.Clock.Advance(30 * 24 * time.Hour)
		if n := sweep(t, w); n != 0 {
			t.Errorf("got %d ends of hers announced", n)
		}
	}
}

// listings returns an org's activity, and the activity of one user in it.
func listings(t *testing.T, w *mfatest.World, id string) (ofOrg, ofUser []activity.Event) {
	t.Helper()
	ofOrg, ofUser = listActivity(t, w, mfa.ActivityQuery{Org: org}), listActivity(t, w, mfa.ActivityQuery{Org: org, User: id})
	mine, err := w.UserActivity(t.Context(), w.Client, mfa.ActivityQuery{Org: org, User: id})
	if err != nil || (len(mine.Items) == 0) != (len(ofUser) == 0) {
		t.Errorf("a user's own: got %d events, %v, want as many as the org's listing of the user has: %d", len(mine.Items), err, len(ofUser))
	}
	return ofOrg, ofUser
}

// wantNameless fails the test unless e says only that something happened.
func wantNameless(t *testing.T, e activity.Event) {
	t.Helper()
	if e.ID == "" || e.Type == "" || e.Time.IsZero() || e.Org != org || e.PolicyVersion == 0 {
		t.Errorf("got %+v, want that it happened", e)
	}
	if e.User != "" || e.Data == nil || len(e.Data) != 0 || e.Actor.Kind == "" || e.Actor.ID != "" && e.Actor.ID != "app" {
		t.Errorf("got %+v, want nothing of the user", e)
	}
}

func TestActivityShowsWhatTheBusGot(t *testing.T) {
	w := mfatest.New(t)
	orNull(t, w)
	w.Drain(t)
	got, mine := listings(t, w, erin.id)
	want := map[string]string{}
	hers := 0
	for _, e := range w.Events.All() {
		text, _ := json.Marshal(e)
		want[e.ID] = string(text)
		if e.User == erin.id {
			hers++
		}
	}
	if len(got) != len(want) || len(mine) != hers || hers == 0 || hers == len(want) {
		t.Errorf("got %d events, %d of hers, want %d and %d", len(got), len(mine), len(want), hers)
	}
	for _, e := range append(got, mine...) {
		if text, _ := json.Marshal(e); string(text) != want[e.ID] {
			t.Errorf("got %s, want %s", text, want[e.ID])
		}
	}
}

func TestAnErasureEmptiesTheActivityAtOnce(t *testing.T) {
	w := mfatest.New(t)
	orNull(t, w)
	other := ana()
	other.Purpose = mfa.StepUp
	if _, err := w.StartChallenge(t.Context(), w.Client, other); err != nil {
		t.Fatal(err)
	}
	w.Drain(t)
	before, _ := listings(t, w, erin.id)
	pages, err := w.CheckActivity(t.Context(), org)
	if err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(time.Second)
	w.Faults.Reset()
	if err := w.EraseUser(t.Context(), w.Client, org, erin.id); err != nil {
		t.Fatal(err)
	}
	if got := w.Faults.Counts(); got.Commit != 1 || got.Query > 4 {
		t.Errorf("got %+v, want one commit, and the user's own items and requests for a reset read before and after it: no page", got)
	}
	look := func(when string, extra int) {
		t.Helper()
		after, mine := listings(t, w, erin.id)
		if len(after) != len(before)+extra || len(mine) != 0 {
			t.Errorf("%s: got %d events, and %d of hers, want %d and none", when, len(after), len(mine), len(before)+extra)
		}
		ofOthers := 0
		for i, e := range after {
			if i >= extra && (e.ID != before[i-extra].ID || e.Type != before[i-extra].Type || !e.Time.Equal(before[i-extra].Time)) {
				t.Errorf("%s: got %+v, want %+v in its place", when, e, before[i-extra])
			}
			if e.Type == mfa.PolicyChanged || e.User == user {
				ofOthers++
				continue
			}
			wantNameless(t, e)
		}
		if ofOthers != 3 {
			t.Errorf("%s: got %d events that aren't about her, want the policy's change and ana's two", when, ofOthers)
		}
		if again, err := w.CheckActivity(t.Context(), org); err != nil || again < pages {
			t.Errorf("%s: the chain: got %d pages, %v, want %d or more", when, again, err, pages)
		}
	}
	look("at once", 0)
	w.Drain(t)
	look("published", 1)
	erased := listActivity(t, w, mfa.ActivityQuery{Org: org, Type: mfa.UserErased})
	if len(erased) != 1 || erased[0].Actor != (activity.Actor{Kind: "client", ID: "app"}) {
		t.Errorf("got %+v, want one user.erased, by the client", erased)
	}
	w.Clock.Advance(time.Second)
	put(t, w, mfa.Person{ID: erin.id})
	look("made again", 1)
	w.Clock.Advance(time.Second)
	put(t, w, mfa.Person{ID: erin.id, Name: mfa.Some(erin.name)})
	w.Drain(t)
	if _, mine := listings(t, w, erin.id); len(mine) != 2 || mine[0].User != erin.id || mine[0].Type != mfa.UserUpdated || mine[1].Type != mfa.UserCreated {
		t.Errorf("got %+v, want what came of her since she was made again", mine)
	}
}

func TestWhatIsPublishedAfterAnErasureIsFiledWithoutTheUser(t *testing.T) {
	for _, again := range []bool{false, true} {
		w := kls(t, nil)
		w.Drain(t)
		ch := started(t, w, ana())
		wrongs(t, w, ch.ID, 2)
		if _, err := verify(t, w, ch.ID, w.Outbox.Code(t, mail), true); err != nil {
			t.Fatal(err)
		}
		if err := w.EraseUser(t.Context(), w.Client, org, user); err != nil {
			t.Fatal(err)
		}
		if again { // at the same moment, so that the time doesn't tell the two users apart
			put(t, w, mfa.Person{ID: user, Email: mfa.Some(mail)})
			put(t, w, mfa.Person{ID: user, Name: mfa.Some("Ana")})
		}
		w.Drain(t)
		all, mine := listings(t, w, user)
		nameless := 0
		for _, e := range all {
			switch {
			case e.Type == mfa.PolicyChanged:
			case again && (e.Type == mfa.UserUpdated || e.Type == mfa.UserCreated) && e.User == user:
			default:
				nameless++
				wantNameless(t, e)
			}
		}
		if nameless != 8 {
			t.Errorf("made again %v: got %d events without their user, want 8", again, nameless)
		}
		if want := map[bool]int{true: 2}[again]; len(mine) != want {
			t.Errorf("made again %v: got %+v of the user, want %d", again, mine, want)
		}
	}
}

func TestAnEndOfTrustIsToldOfNobodyWhoWasErased(t *testing.T) {
	w := kls(t, nil)
	trusted(t, w)
	sweep(t, w)
	w.Clock.Advance(30 * day)
	if n := sweep(t, w); n != 1 {
		t.Fatalf("got %d announced, want 1", n)
	}
	if err := w.EraseUser(t.Context(), w.Client, org, user); err != nil {
		t.Fatal(err)
	}
	if got := events(t, w, mfa.BrowserExpired); len(got) != 0 {
		t.Errorf("got %+v, want nothing: the user was gone when it was handed on", got)
	}
}

// The key of an entry is only in what an erasure removes or makes worthless.
func TestWhatOutlivesAnErasureHasNoKeyOfTheActivity(t *testing.T) {
	w := kls(t, nil)
	w.Drain(t)
	trusted(t, w)
	for _, r := range records(t, w) {
		if len(mfa.EntryKey(t, r)) != 32 {
			t.Errorf("%v: an event of a sign-in has no key", r.Key)
		}
	}
	w.Clock.Advance(31 * day)
	sweep(t, w)
	if err := w.EraseUser(t.Context(), w.Client, org, user); err != nil {
		t.Fatal(err)
	}
	batch := records(t, w)
	if len(batch) != 2 {
		t.Fatalf("got %d records, want those of the end of trust and of the erasure", len(batch))
	}
	for _, r := range batch {
		if key := mfa.EntryKey(t, r); key != nil {
			t.Errorf("%v has a key of %d bytes", r.Key, len(key))
		}
	}
}

// The guard of a user is not read for events that only go to the activity and the bus.
func TestThePublicationOfASignInReadsNoGuard(t *testing.T) {
	w := kls(t, nil)
	trusted(t, w)
	w.Drain(t)
	if _, err := verify(t, w, started(t, w, ana()).ID, w.Outbox.Code(t, mail), false); err != nil {
		t.Fatal(err)
	}
	batch := records(t, w)
	if len(batch) != 2 {
		t.Fatalf("got %d records, want one of the start and one of the answer", len(batch))
	}
	w.Faults.Reset()
	if err := w.Publish(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if got := w.Faults.Counts(); got.Get != 0 || got.Query != 1 || got.Commit != 1 {
		t.Errorf("got %+v, want one query for the last page and one commit of the next", got)
	}
	found := listActivity(t, w, mfa.ActivityQuery{Org: org, Type: mfa.ChallengeVerified})
	if len(found) != 2 || found[0].User != user || found[0].Data["kind"] != string(mfa.Email) {
		t.Errorf("got %+v, want what was said of the user", found)
	}
}

// The guard of a user is needed for an event that names the user by the route only.
func TestABatchReadsTheGuardsOfItsUsersTogetherAndEachOnce(t *testing.T) {
	w := kls(t, nil)
	const users = 20
	for i := range 2 * users {
		q := ana()
		q.User.ID = fmt.Sprint("u-", i%users)
		if _, err := verify(t, w, started(t, w, q).ID, w.Outbox.Code(t, mail), true); err != nil {
			t.Fatal(err)
		}
		w.Clock.Advance(time.Minute)
	}
	sweep(t, w)
	w.Drain(t)
	w.Clock.Advance(31 * day)
	sweep(t, w)
	batch := records(t, w)
	if len(batch) != 2*users {
		t.Fatalf("got %d records, want one for each browser", len(batch))
	}
	if err := w.Publish(t.Context(), batch); err != nil { // after this, the first page of the day is there
		t.Fatal(err)
	}
	w.Faults.Reset()
	if err := w.Publish(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if got := w.Faults.Counts(); got.Get != 1 || got.Keys != users {
		t.Errorf("got %+v, want %d guards read at once", got, users)
	}
}
