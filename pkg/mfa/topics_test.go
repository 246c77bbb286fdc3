package mfa

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/message"
	"countersign/pkg/store"
)

func TestEveryTopicHasAMessageAndANameOfItsOwn(t *testing.T) {
	names := map[string]bool{}
	for _, row := range topics {
		if names[row.name] {
			t.Errorf("%s is not the only topic of its name", row.name)
		}
		names[row.name] = true
		if m, ok := message.About(row.name, message.Addressee{Language: "en"}, message.Facts{}); !ok || m.Subject == "" {
			t.Errorf("there is no message about %s", row.name)
		}
	}
}

func TestEveryKindHasWordsInEveryLanguage(t *testing.T) {
	for _, language := range message.Languages() {
		text := func(kind Kind) string {
			m, _ := message.About(message.Enrolled, message.Addressee{Language: language}, message.Facts{Kind: string(kind)})
			return m.Text
		}
		for _, row := range kinds {
			if text(row.kind) == text("surprise") {
				t.Errorf("%s has no words in %q", row.kind, language)
			}
		}
	}
}

func TestAUserIsWrittenToInEveryLanguageThatWeHave(t *testing.T) {
	for _, language := range message.Languages() {
		var p Policy
		if got := p.language(language + "-CH"); got != language {
			t.Errorf("a user of %q is written to in %q", language, got)
		}
	}
}

func TestATopicOfALaterBuildIsNotSentAsAnotherOne(t *testing.T) {
	s := &Service{Now: time.Now}
	if _, err := s.notice(&addressed{topic: "surprise"}); err == nil {
		t.Error("got no error, want one, so that a later build tells of it")
	}
}

func TestAnEventThatIsToldNeedsTheGuardInItsCommit(t *testing.T) {
	g := &guard{Org: "acme", User: "ana", ActivityKey: activity.NewKey(), Profile: profile{Email: "ana@acme.example"}}
	u := &unit{s: &Service{Now: time.Now}}
	u.begin(nil)
	u.event(g.event(BrowserTheft, 1, nil))
	if _, err := u.batchOfEvents(); !errors.Is(err, errUntold) {
		t.Errorf("got %v, want that it is refused", err)
	}
	a := &account{guard: g, item: store.Item{Key: guardKey(routeOf("acme", "ana"))}}
	u.putGuard(a, &orgPolicy{})
	if text, err := u.batchOfEvents(); err != nil || bytes.Count(text, []byte("ana@acme.example")) != 1 {
		t.Errorf("got %q, %v, want the address once", text, err)
	}
}

func TestNoticesWaitForFiveAddressesAndThenTheFirstIsToldAtOnce(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	g := &guard{}
	for range noticesInDay {
		g.countNotice(now)
	}
	for i := range mostWaiting + 1 {
		for range 2 {
			g.wait(recipient{Address: fmt.Sprint("ana", i, "@acme.example")}, waited{Topic: "theft", Times: 1, Last: now})
			g.wait(recipient{Address: fmt.Sprint("ana", i, "@acme.example")}, waited{Topic: "removed", Kind: TOTP, Times: 1, Last: now})
			g.wait(recipient{Address: fmt.Sprint("ana", i, "@acme.example")}, waited{Topic: "removed", Kind: Email, Times: 1, Last: now})
		}
		u := &unit{now: now}
		if u.sumUp(g); (len(u.sums) > 0) != (i == mostWaiting) {
			t.Fatalf("%d addresses: got %+v", i+1, u.sums)
		}
		if i == mostWaiting && (len(u.sums) != 1 || u.sums[0].Address != "ana0@acme.example" || len(u.sums[0].Items) != 3 || u.sums[0].Items[0].Times != 2) {
			t.Errorf("got %+v, want what waited for the first address", u.sums)
		}
	}
	g.wait(recipient{Address: "ana1@acme.example", Name: "Anna"}, waited{Topic: "theft", Times: 1, Last: now})
	if got := g.NoticesWaiting[0]; got.Name != "Anna" || got.Items[0].Times != 3 {
		t.Errorf("got %+v, want it to the person as they were last", got)
	}
	if got := len(g.NoticesWaiting); got != mostWaiting {
		t.Errorf("got %d addresses that wait, want %d", got, mostWaiting)
	}
}

func TestNoticesThatGoOutWithoutRoomDontMakeTheGuardGrow(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	g := &guard{}
	for i := range 100 { // the address changes a hundred times in a day, and something is told each time
		now = now.Add(time.Minute)
		if g.mayTell(now).IsZero() {
			g.countNotice(now)
			continue
		}
		g.wait(recipient{Address: fmt.Sprint("ana", i, "@acme.example")}, waited{Topic: "theft", Times: 1, Last: now})
		(&unit{now: now}).sumUp(g)
	}
	if len(g.NoticesSent) != noticesInDay || len(g.NoticesWaiting) != mostWaiting {
		t.Errorf("got %d notices kept and %d addresses that wait, want %d and %d", len(g.NoticesSent), len(g.NoticesWaiting), noticesInDay, mostWaiting)
	}
	if got, want := g.mayTell(now), now.Add(-(noticesInDay-1)*time.Minute).Add(noticeDay); !got.Equal(want) {
		t.Errorf("got room at %v, want %v, a day after the twentieth from the last", got, want)
	}
}

func TestThereIsRoomForANoticeWhenTheFirstOfTwentyIsADayOld(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	g := &guard{}
	for i := range noticesInDay {
		if room := g.mayTell(now.Add(time.Duration(i) * time.Minute)); !room.IsZero() {
			t.Errorf("notice %d: got room at %v, want it now", i+1, room)
		}
		g.countNotice(now.Add(time.Duration(i) * time.Minute))
	}
	for _, c := range []struct {
		at   time.Duration
		room time.Time
	}{
		{time.Hour, now.Add(24 * time.Hour)}, {24*time.Hour - time.Millisecond, now.Add(24 * time.Hour)}, {24 * time.Hour, time.Time{}},
	} {
		if got := g.mayTell(now.Add(c.at)); !got.Equal(c.room) {
			t.Errorf("after %v: got room at %v, want %v", c.at, got, c.room)
		}
	}
	g.countNotice(now.Add(24 * time.Hour))
	if !slices.IsSorted(g.NoticesSent) || len(g.NoticesSent) != noticesInDay {
		t.Errorf("got %d notices kept, want %d", len(g.NoticesSent), noticesInDay)
	}
}
