package activity

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
	"countersign/pkg/store/storetest"
)

// A signedWorld is a world whose activity gets checkpoints.
type signedWorld struct {
	*world
	ring *seal.Ring
	made []Checkpoint // all that were made, as the event bus has them
}

func signed(t *testing.T, users ...string) *signedWorld {
	w := onModel(t, users...)
	return &signedWorld{world: w, ring: seal.NewRing(w.clock.Now())}
}

func (w *signedWorld) keys(t *testing.T) seal.CheckpointKeys {
	t.Helper()
	keys, err := seal.ReadCheckpointKeys(w.ring.JWKS())
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// active returns the days that are in the list of today.
func (w *signedWorld) active(t *testing.T) (days []Active) {
	t.Helper()
	for shard := range ActiveShards {
		found, _, more, err := w.ActiveOn(t.Context(), w.clock.Now(), shard, "", store.MaxLimit)
		if err != nil || more {
			t.Fatal(more, err)
		}
		days = append(days, found...)
	}
	return days
}

// checkpoint makes the checkpoints that are due, and returns how many there were.
func (w *signedWorld) checkpoint(t *testing.T) (made int) {
	t.Helper()
	for _, day := range w.active(t) {
		err := w.Commit(t.Context(), func(now time.Time) ([]store.Write, error) {
			next, writes, err := w.PlanCheckpoint(t.Context(), day, now, w.ring.SignCheckpoint)
			if next != nil {
				made++
				w.made = append(w.made, *next)
			}
			return writes, err
		})
		if err != nil && !errors.Is(err, store.ErrInvalid) { // there was nothing to commit
			t.Fatal(err)
		}
	}
	return made
}

func (w *signedWorld) export(t *testing.T) string {
	t.Helper()
	var text bytes.Buffer
	if err := w.Export(t.Context(), &text, org, acme, w.ring.JWKS()); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// verified reads an export and verifies it, on a machine that has nothing else than the export.
func (w *signedWorld) verified(t *testing.T, export string, seen ...string) (Verified, error) {
	t.Helper()
	now := w.clock.Now()
	read, err := ReadExport(t.Context(), strings.NewReader(export), storetest.NewModel(func() time.Time { return now }), now)
	if err != nil {
		return Verified{}, err
	}
	return read.Log.Verify(t.Context(), read.Route, read.Keys, seen...)
}

// threeDays files on three days, in several pages, with a checkpoint after each page, and something after the last one.
func threeDays(t *testing.T) *signedWorld {
	w := signed(t, "ana", "bob")
	for range 3 {
		for range 3 {
			w.fileOne(t, w.clock.Now(), "ana", "bob", "")
			w.checkpoint(t)
			w.clock.Advance(time.Minute)
		}
		w.clock.Advance(24 * time.Hour)
	}
	w.clock.Advance(-24 * time.Hour)
	w.fileOne(t, w.clock.Now(), "bob")
	return w
}

func TestAnExportThatNobodyChangedVerifies(t *testing.T) {
	w := threeDays(t)
	elsewhere, err := w.ring.SignCheckpoint(checkpointClaims{Org: b64(acme[:15] + "x"), Serial: 20})
	if err != nil {
		t.Fatal(err)
	}
	got, err := w.verified(t, w.export(t), w.made[0].Signed, elsewhere, w.made[8].Signed)
	want := Verified{Days: 3, Pages: 10, Checkpoints: 9, Serial: 9, At: got.At, Later: 1, Seen: 2}
	if err != nil || got != want || got.At.IsZero() {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	want.Seen = 0
	if online, err := w.Verify(t.Context(), acme, w.keys(t)); err != nil || online != want {
		t.Errorf("in its own store: got %+v, %v, want %+v", online, err, want)
	}
}

func TestACheckpointIsMadeOnlyOfWhatIsNew(t *testing.T) {
	w := signed(t, "ana")
	if n := w.checkpoint(t); n != 0 {
		t.Errorf("nothing was ever filed: got %d checkpoints", n)
	}
	for i, want := range []int{1, 1, 1} {
		w.fileOne(t, w.clock.Now(), "ana")
		for _, want := range []int{want, 0} {
			if n := w.checkpoint(t); n != want {
				t.Errorf("page %d: got %d checkpoints, want %d", i+1, n, want)
			}
		}
	}
	w.clock.Advance(24 * time.Hour)
	if days := w.active(t); len(days) != 0 {
		t.Errorf("nothing was filed today, and these are active: %+v", days)
	}
}

// What comes late, such as records that were handed on again, is in the list of the day on which it comes.
func TestADayThatIsOverIsActiveAgainWhenSomethingIsFiledInIt(t *testing.T) {
	w := signed(t, "ana")
	first := w.clock.Now()
	w.fileOne(t, first, "ana")
	w.checkpoint(t)
	for range 2 {
		w.clock.Advance(5 * 24 * time.Hour)
		for range 2 {
			w.fileOne(t, first, "ana")
		}
		if days := w.active(t); len(days) != 1 || days[0].Day != dayOf(first) || days[0].Org != org {
			t.Fatalf("got %+v, want the day that has got more", days)
		}
		if n := w.checkpoint(t); n != 1 {
			t.Errorf("got %d checkpoints, want 1", n)
		}
	}
	w.fileOne(t, w.clock.Now().Add(24*time.Hour), "ana") // the clock of who has recorded it is ahead
	w.clock.Advance(24 * time.Hour)
	if days := w.active(t); len(days) != 1 || days[0].Day != dayOf(w.clock.Now()) {
		t.Errorf("got %+v, want the day to which it belongs", days)
	}
}

// Almost every page is filed on its own day, by a publisher that has filed there before. The list of active days costs it nothing.
func TestAPageThatIsNotTheFirstOfItsDayReadsNoList(t *testing.T) {
	w := signed(t, "ana")
	w.fileOne(t, w.clock.Now(), "ana")
	w.read.Reset()
	w.fileOne(t, w.clock.Now(), "ana")
	if queries, items := w.read.Queries.Load(), w.read.Items.Load(); queries != 1 || items != 1 {
		t.Errorf("got %d queries of %d items, want the last page", queries, items)
	}
}

func TestCheckpointsOfAnOrgAreNumberedOverItsDaysAndShards(t *testing.T) {
	w := signed(t)
	w.PerShard = 1
	var users []string
	for n := range 20 {
		user := fmt.Sprint("u-", n)
		users = append(users, user)
		w.makeUser(t, user, 0)
	}
	for range 3 {
		w.fileOne(t, w.clock.Now(), users...)
		w.checkpoint(t)
		w.clock.Advance(24 * time.Hour)
	}
	got, err := w.verified(t, w.export(t))
	if err != nil || got.Serial != 3 || got.Days != 3 || got.Pages < 9 {
		t.Errorf("got %+v, %v, want 3 checkpoints over shards", got, err)
	}
	for i, c := range w.made {
		if c.Serial != i+1 {
			t.Errorf("got serial %d in place %d", c.Serial, i+1)
		}
	}
}

func (w *signedWorld) remove(t *testing.T, keys ...store.Key) {
	t.Helper()
	for _, key := range keys {
		item, err := store.GetOne(t.Context(), w.read, key)
		if err != nil || item.Absent() {
			t.Fatal("no item", key, err)
		}
		w.commit(t, store.Write{Key: key, Expect: item.Version, Delete: true},
			store.Write{Key: store.Key{Partition: "other", Sort: string(store.NewVersion())}, Body: []byte("x")})
	}
}

// Whoever can write the table can remove its end, and nothing in the table tells of that but the checkpoints.
func TestL11WhatIsTakenAwayFromTheTableShows(t *testing.T) {
	day := func(n int) string { return dayOf(time.Date(2026, 11, 22+n, 10, 0, 0, 0, time.UTC)) }
	page := func(n, number int) store.Key {
		return store.Key{Partition: pagePartition(acme, day(n), 0), Sort: pageSort(number)}
	}
	for name, c := range map[string]struct {
		remove []store.Key
		want   string
	}{
		"a page in the middle":      {[]store.Key{page(1, 2)}, "page 13 of"},
		"the tail of a day":         {[]store.Key{page(2, 4), page(2, 3)}, "checkpoint 9 tells of page 3 of 2026-11-24"},
		"the last day":              {[]store.Key{page(2, 1), page(2, 2), page(2, 3), page(2, 4), dayKey(acme, day(2))}, "checkpoint 7 tells of 2026-11-24, which is missing"},
		"a day in the middle":       {[]store.Key{page(1, 1), page(1, 2), page(1, 3), dayKey(acme, day(1))}, "2026-11-24 is linked to 2026-11-23, which is missing"},
		"a checkpoint":              {[]store.Key{checkKey(acme, 4)}, "checkpoint 4 is missing"},
		"the first checkpoint":      {[]store.Key{checkKey(acme, 1)}, "checkpoint 1 is missing"},
		"the tail with checkpoints": {[]store.Key{page(2, 4), page(2, 3), checkKey(acme, 9)}, "checkpoint 9 was seen elsewhere and is missing"},
	} {
		w := threeDays(t)
		w.remove(t, c.remove...)
		_, err := w.Verify(t.Context(), acme, w.keys(t), w.made[8].Signed)
		if !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

// A tail that was removed together with its checkpoints gets new ones. Then two checkpoints have the same number.
func TestL11ACheckpointInThePlaceOfAnotherShows(t *testing.T) {
	w := threeDays(t)
	today := w.clock.Now()
	w.remove(t, checkKey(acme, 9), store.Key{Partition: pagePartition(acme, dayOf(today), 0), Sort: pageSort(4)},
		store.Key{Partition: pagePartition(acme, dayOf(today), 0), Sort: pageSort(3)})
	seen := w.made[8].Signed
	w.fileOne(t, today, "ana")
	w.checkpoint(t)
	if _, err := w.Verify(t.Context(), acme, w.keys(t)); err != nil {
		t.Fatalf("nothing in the table says that it was cut, but: %v", err)
	}
	_, err := w.Verify(t.Context(), acme, w.keys(t), seen)
	if !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), "checkpoint 9 isn't the one that was seen elsewhere") {
		t.Errorf("got %v", err)
	}
}

func TestACheckpointOfAnotherRingOrOrgIsNotTaken(t *testing.T) {
	w := threeDays(t)
	other := seal.NewRing(w.clock.Now())
	item, err := store.GetOne(t.Context(), w.read, checkKey(acme, 9))
	if err != nil {
		t.Fatal(err)
	}
	c, err := readCheckpoint(item)
	if err != nil {
		t.Fatal(err)
	}
	for want, claims := range map[string]checkpointClaims{
		"was signed with none of the keys": c.claims,
		"is about another org":             {Org: b64(acme[:15] + "x"), Serial: 9, At: c.claims.At, Before: c.claims.Before, Day: c.claims.Day},
	} {
		ring := w.ring
		if claims.Org == c.claims.Org {
			ring = other
		}
		signed, err := ring.SignCheckpoint(claims)
		if err != nil {
			t.Fatal(err)
		}
		now, err := store.GetOne(t.Context(), w.read, item.Key)
		if err != nil {
			t.Fatal(err)
		}
		w.rewrite(t, now, &checkpoint{Signed: signed})
		if _, err := w.Verify(t.Context(), acme, w.keys(t)); !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// An entry that was taken away leaves its digest, and a user who is erased leaves what nobody can read.
func TestWhatIsErasedVerifiesAllTheSame(t *testing.T) {
	w := threeDays(t)
	w.remove(t, keyItem(userRoute("ana")))
	first := w.clock.Now().AddDate(0, 0, -2)
	for _, item := range w.pagesAt(t, first, 0) {
		p, err := readPage(dayOf(first), item)
		if err != nil {
			t.Fatal(err)
		}
		if p.Entries[0], err = p.entries[0].erase(); err != nil {
			t.Fatal(err)
		}
		w.rewritePage(t, item, &p.page)
	}
	if got, err := w.verified(t, w.export(t)); err != nil || got.Pages != 10 {
		t.Errorf("got %+v, %v, want all pages", got, err)
	}
}

// All that is kept is gone at its time, and what is left verifies.
func TestWhatHasExpiredIsNotMissed(t *testing.T) {
	w := threeDays(t)
	at := w.clock.Now()
	w.clock.Advance(keptFor - 3*24*time.Hour)
	for range 8 {
		w.clock.Advance(14 * time.Hour)
		w.fileOne(t, w.clock.Now(), "ana")
		w.checkpoint(t)
		if got, err := w.verified(t, w.export(t), w.made[0].Signed); err != nil {
			t.Errorf("%s after: got %+v, %v", w.clock.Now().Sub(at), got, err)
		}
	}
	if items := w.items(t, daysPartition(acme)); len(items) == 0 || items[0].Key.Sort < "2027" {
		t.Errorf("the first days are still there: %v", items)
	}
}

func TestADamagedItemOfTheActivityIsNotShown(t *testing.T) {
	w := threeDays(t)
	for _, key := range []store.Key{checkKey(acme, 1), activeKey(dayOf(w.clock.Now()), acme, dayOf(w.clock.Now()))} {
		item, err := store.GetOne(t.Context(), w.read, key)
		if err != nil || item.Absent() || !Kept(key.Partition) {
			t.Fatal("no item", key, err)
		}
		if shown, err := Show(item); err != nil || shown == nil {
			t.Errorf("%s: got %v, %v", key.Partition, shown, err)
		}
		item.Body = item.Body[:len(item.Body)/2]
		if shown, err := Show(item); !errors.Is(err, record.ErrUnreadable) {
			t.Errorf("half of %s: got %v, %v", key.Partition, shown, err)
		}
	}
}
