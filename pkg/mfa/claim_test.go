package mfa_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/message"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/store"
	"countersign/pkg/store/fault"
)

// publish publishes the same records several times.
func publish(t *testing.T, w *mfatest.World, batch []store.Record, times int) {
	t.Helper()
	for range times {
		if err := w.Publish(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
}

// asked records to which addresses a mailer was asked to send.
type asked struct {
	mfa.Mailer
	mu sync.Mutex
	to []string
}

func (m *asked) SendMail(ctx context.Context, message message.Message) error {
	m.mu.Lock()
	m.to = append(m.to, message.To)
	m.mu.Unlock()
	return m.Mailer.SendMail(ctx, message)
}

func TestARecordThatIsHandedOnTenTimesSendsItsNoticesOnce(t *testing.T) {
	w, remake := noisy(t)
	remake()
	w.Drain(t)
	w.Clock.Advance(24 * time.Hour)
	sweep(t, w)        // sends a notice that sums up several events
	remakeByMail(t, w) // sends a notice about a single topic
	put(t, w, mfa.Person{ID: user, Email: mfa.Some("new@other.example")})
	publish(t, w, records(t, w), 10)
	wantNotices(t, w, "the earlier address", mail, 20, aboutSeveral, aboutRecoveryMade, aboutMove)
	wantNotices(t, w, "the new address", "new@other.example", 0, aboutMove)
}

func TestARecordThatIsHandedOnManyTimesAtOnceSendsItsNoticeTwiceAtMost(t *testing.T) {
	for range rounds() {
		w := kls(t, nil)
		services := twice(w)
		lock(t, w)
		batch := records(t, w)
		atOnce(10, func(i int) {
			if err := services[i%2].Publish(t.Context(), batch); err != nil && !errors.Is(err, store.ErrConflict) {
				t.Error(err)
			}
		})
		publish(t, w, batch, 2)
		if got := len(notices(w, mail)); got < 1 || got > 2 {
			t.Errorf("got %d notices, want one, or two where it wasn't known what became of the first", got)
		}
	}
}

func TestANoticeWhoseAnswerWasLostIsSentOnceMoreAtMost(t *testing.T) {
	w := kls(t, nil)
	lock(t, w)
	m := &asked{Mailer: w.Outbox}
	w.Mail = m
	w.Outbox.Fail(errProvider, true)
	batch := records(t, w)
	publish(t, w, batch, 10)
	w.Outbox.Fail(nil, false)
	publish(t, w, batch, 10)
	if len(m.to) != 2 {
		t.Errorf("got %d tries, want 2", len(m.to))
	}
	if got := events(t, w, mfa.DeliveryFailure); len(got) != 1 {
		t.Errorf("got %+v, want one delivery.failed", got)
	}

	w = kls(t, nil)
	lock(t, w)
	m = &asked{Mailer: &slowMail{Outbox: w.Outbox, err: errProvider, meanwhile: func() {}}}
	w.Mail = m
	publish(t, w, records(t, w), 10)
	if len(m.to) != 2 || len(notices(w, mail)) != 1 {
		t.Errorf("the second was taken: got %d tries and %d notices, want 2 and 1", len(m.to), len(notices(w, mail)))
	}
	if got := events(t, w, mfa.DeliveryFailure); len(got) != 0 {
		t.Errorf("the second was taken: got %+v, want no delivery.failed", got)
	}
}

func TestANoticeOfAProcessThatDiedIsSentOnceMoreAtMost(t *testing.T) {
	for _, taken := range []bool{false, true} {
		w := kls(t, nil)
		lock(t, w)
		batch := records(t, w)
		died := func() bool {
			return dying(func() answered {
				w.Publish(t.Context(), batch)
				return answered{}
			})
		}
		w.Mail = dyingMail{w.Outbox, taken}
		if !died() {
			t.Fatal("nothing was sent")
		}
		w.Mail = w.Outbox
		publish(t, w, batch, 10)
		want := 1
		if taken {
			want = 2
		}
		if got := len(notices(w, mail)); got != want {
			t.Errorf("taken %t: got %d notices, want %d", taken, got, want)
		}

		w = kls(t, nil)
		lock(t, w)
		batch = records(t, w)
		w.Mail = dyingMail{w.Outbox, taken}
		for try, want := range []bool{true, true, false} {
			if got := died(); got != want {
				t.Errorf("try %d: got tried %t, want %t", try+1, got, want)
			}
		}
	}
}

func TestANoticeThatWasRefusedIsRecordedOnceAndHoldsNothingUp(t *testing.T) {
	w := kls(t, nil)
	lock(t, w)
	put(t, w, mfa.Person{ID: "u-18", Email: mfa.Some("ben@acme.example")})
	put(t, w, mfa.Person{ID: "u-18", Email: mfa.Some("ben@other.example")})
	m := &asked{Mailer: pickyMail{w.Outbox}}
	w.Mail = m
	batch := records(t, w)
	publish(t, w, batch, 10)
	if n := len(slices.DeleteFunc(slices.Clone(m.to), func(to string) bool { return to != mail })); n != 1 {
		t.Errorf("got %d tries at the address that is refused, want 1", n)
	}
	if len(notices(w, "ben@acme.example")) != 1 || len(notices(w, "ben@other.example")) != 1 {
		t.Errorf("got %q, want what came after it sent", m.to)
	}
	locked, failed := events(t, w, mfa.ChallengeLocked), events(t, w, mfa.DeliveryFailure)
	if len(failed) != 1 || failed[0].Data["about"] != locked[0].ID || failed[0].User != user || failed[0].Actor.Kind != "service" {
		t.Errorf("got %+v, want one delivery.failed about the lock", failed)
	}
}

func TestARefusedNoticeIsNotRecordedOfAnotherLife(t *testing.T) {
	w := kls(t, nil)
	lock(t, w)
	w.Mail = &slowMail{Outbox: w.Outbox, err: errRefused, meanwhile: func() {
		if err := w.EraseUser(t.Context(), w.Client, org, user); err != nil {
			t.Error(err)
		}
		put(t, w, ana().User)
	}}
	publish(t, w, records(t, w), 1)
	if got := events(t, w, mfa.DeliveryFailure); len(got) != 0 {
		t.Errorf("got %+v, want none: it was the one before", got)
	}
}

// pickyMail refuses messages to ana's address.
type pickyMail struct{ *mfatest.Outbox }

func (m pickyMail) SendMail(ctx context.Context, message message.Message) error {
	if message.To == mail {
		return errRefused
	}
	return m.Outbox.SendMail(ctx, message)
}

func TestANoticeIsSentOnceThoughThatItWasCouldNotBeRecorded(t *testing.T) {
	w := kls(t, nil)
	lock(t, w)
	w.Mail = &slowMail{Outbox: w.Outbox, meanwhile: func() { w.Faults.Inject(fault.Commit, -1, fault.Fail(nil)) }}
	batch := records(t, w)
	m := &asked{Mailer: w.Mail}
	w.Mail = m
	publish(t, w, batch, 1)
	if len(m.to) != 1 {
		t.Errorf("got %d tries, want 1", len(m.to))
	}
}

// spied is a store that records the reads and writes that are asked of it.
type spied struct {
	store.Store
	mu      sync.Mutex
	queried []string
	got     []string
	put     map[string]store.Write
}

func (s *spied) Get(ctx context.Context, keys ...store.Key) ([]store.Item, error) {
	s.mu.Lock()
	for _, key := range keys {
		s.got = append(s.got, key.Partition+" "+key.Sort)
	}
	s.mu.Unlock()
	return s.Store.Get(ctx, keys...)
}

func (s *spied) Query(ctx context.Context, q store.Query) (store.Page, error) {
	s.mu.Lock()
	s.queried = append(s.queried, q.Partition)
	s.mu.Unlock()
	return s.Store.Query(ctx, q)
}

func (s *spied) Commit(ctx context.Context, token store.Version, writes ...store.Write) error {
	s.mu.Lock()
	for _, w := range writes {
		s.put[w.Key.Partition+" "+w.Key.Sort] = w
	}
	s.mu.Unlock()
	return s.Store.Commit(ctx, token, writes...)
}

func TestPublishReadsNoAccountAndNeedsNoRingAndAClaimOutlivesTheStreamWithoutAnAddress(t *testing.T) {
	w := kls(t, nil)
	lock(t, w)
	put(t, w, mfa.Person{ID: user, Email: mfa.Some("new@other.example")})
	batch := records(t, w)
	spy := &spied{Store: w.Store, put: map[string]store.Write{}}
	w.Store = spy
	w.Keys.Fail(errors.New("the keys are away"))
	publish(t, w, batch, 2)
	if got := len(notices(w, mail)) + len(notices(w, "new@other.example")); got != 3 {
		t.Fatalf("got %d notices, want 3", got)
	}
	for _, partition := range spy.queried {
		if !strings.HasPrefix(partition, "act#") {
			t.Errorf("it queried %s", partition)
		}
	}
	for _, key := range spy.got {
		if !strings.HasSuffix(key, " guard") && !strings.HasPrefix(key, "notice#") && !activity.Kept(key) {
			t.Errorf("it read %s", key)
		}
	}
	claims := 0
	for key, write := range spy.put {
		if !strings.HasPrefix(key, "notice#") {
			continue
		}
		claims++
		if write.Expires.Before(w.Clock.Now().Add(48 * time.Hour)) {
			t.Errorf("%s ends at %v", key, write.Expires)
		}
		for _, trace := range append(traces(mail), traces("new@other.example")...) {
			if strings.Contains(key+string(write.Body), trace) {
				t.Errorf("%s %s holds the address", key, write.Body)
			}
		}
	}
	if claims != 3 {
		t.Errorf("got %d claims, want 3", claims)
	}
}

func TestTheRecipientOfAClaimCannotBeFoundOutOnceTheUserIsErased(t *testing.T) {
	partitions := map[string]bool{}
	for range 2 { // the same event id and address, for a user who is erased and created again
		w := kls(t, nil)
		lock(t, w)
		batch := records(t, w)
		for i := range batch {
			batch[i] = mfa.NameEvents(t, batch[i], "ev_same")
		}
		spy := &spied{Store: w.Store, put: map[string]store.Write{}}
		w.Store = spy
		publish(t, w, batch, 1)
		for key := range spy.put {
			if strings.HasPrefix(key, "notice#ev_same#") {
				partitions[key] = true
			}
		}
	}
	if len(partitions) != 2 {
		t.Errorf("got %v, want another hash for another life", partitions)
	}
}
