package storetest

import (
	"errors"
	"fmt"
	"time"

	"countersign/pkg/store"
)

// commitCases check what a Commit does, and when it does nothing.
var commitCases = []contractCase{
	{"the version of an item is the token of the commit that wrote it", func(r *rig) {
		a, b := r.key("a"), r.key("b")
		r.want(a, "", "")
		first := r.mustCommit(put(a, "1"), put(b, "2"))
		r.want(a, first, "1")
		r.want(b, first, "2")
		second := r.mustCommit(over(a, first, "3"))
		r.want(a, second, "3")
		r.want(b, first, "2")
	}},

	{"a put expects absence or the version it names", func(r *rig) {
		key := r.key("a")
		r.wantCommit(store.ErrConflict, "a version of an item that never was", over(key, store.NewVersion(), "0"))
		r.want(key, "", "")
		first := r.mustCommit(put(key, "1"))
		r.wantCommit(store.ErrConflict, "absence of an item that is there", put(key, "2"))
		r.wantCommit(store.ErrConflict, "a version it never had", over(key, store.NewVersion(), "2"))
		r.want(key, first, "1")
		second := r.mustCommit(over(key, first, "2"))
		r.wantCommit(store.ErrConflict, "the version before", over(key, first, "3"))
		r.want(key, second, "2")
	}},

	{"a delete expects the version it names", func(r *rig) {
		key, n := r.key("a"), 0
		other := func() store.Write { n++; return put(r.key(fmt.Sprint("other", n)), "") }
		r.wantCommit(store.ErrConflict, "delete of an item that never was", remove(key, store.NewVersion()), other())
		first := r.mustCommit(put(key, "1"))
		r.wantCommit(store.ErrConflict, "delete of a version it never had", remove(key, store.NewVersion()), other())
		second := r.mustCommit(over(key, first, "2"))
		r.wantCommit(store.ErrConflict, "delete of the version before", remove(key, first), other())
		r.want(key, second, "2")
		r.mustCommit(remove(key, second), other())
		r.want(key, "", "")
		r.wantCommit(store.ErrConflict, "delete of what was deleted", remove(key, second), other())
		r.wantCommit(store.ErrConflict, "put over what was deleted", over(key, second, "3"))
		third := r.mustCommit(put(key, "3"))
		r.want(key, third, "3")
	}},

	{"bodies are kept byte for byte, and share no memory with the caller", func(r *rig) {
		every := make([]byte, 256)
		for i := range every {
			every[i] = byte(i)
		}
		key, kept := r.key("a"), string(every)
		version := r.mustCommit(store.Write{Key: key, Body: every})
		clear(every)
		item := r.get(key)
		clear(item.Body)
		r.want(key, version, kept)
		page := r.all(store.Query{Partition: r.home})
		clear(page[0].Body)
		r.want(key, version, kept)

		none := r.key("none")
		version = r.mustCommit(store.Write{Key: none})
		r.want(none, version, "")
	}},

	{"a commit with one conflict among its writes does nothing", func(r *rig) {
		held, gone, stays := r.key("held"), r.key("gone"), r.key("stays")
		version := r.mustCommit(put(held, "1"), put(gone, "1"), put(stays, "1"))
		for _, bad := range []store.Write{
			put(held, "2"),
			over(held, store.NewVersion(), "2"),
			over(r.key("never"), version, "2"),
			remove(held, store.NewVersion()),
			remove(r.key("never"), version),
		} {
			good := []store.Write{put(r.key("new"), "2"), over(stays, version, "2"), remove(gone, version)}
			for place := range len(good) + 1 {
				writes := append(append(append([]store.Write{}, good[:place]...), bad), good[place:]...)
				r.wantCommit(store.ErrConflict, fmt.Sprintf("one of four in place %d", place), writes...)
			}
		}
		r.want(held, version, "1")
		r.want(gone, version, "1")
		r.want(stays, version, "1")
		r.wantSorts(store.Query{Partition: r.home}, "gone", "held", "stays")
	}},

	{"a commit can write in several partitions", func(r *rig) {
		a, b := store.Key{Partition: r.home + "a", Sort: "x"}, store.Key{Partition: r.home + "b", Sort: "x"}
		version := r.mustCommit(put(a, "1"), put(b, "2"))
		r.want(a, version, "1")
		r.want(b, version, "2")
		r.wantCommit(store.ErrConflict, "a conflict in the other partition", over(a, version, "3"), put(b, "3"))
		r.want(a, version, "1")
	}},

	{"of 64 commits that put one new item, one succeeds", func(r *rig) {
		r.race(func(i int) []store.Write { return []store.Write{put(r.key("a"), fmt.Sprint(i))} })
	}},

	{"of 64 commits that put over one version, one succeeds", func(r *rig) {
		version := r.mustCommit(put(r.key("a"), ""))
		r.race(func(i int) []store.Write { return []store.Write{over(r.key("a"), version, fmt.Sprint(i))} })
	}},

	{"of 64 commits that put over one expired item, one succeeds", func(r *rig) {
		r.mustCommit(until(r.in(time.Second), put(r.key("a"), "")))
		r.clock.Advance(time.Second)
		r.race(func(i int) []store.Write { return []store.Write{put(r.key("a"), fmt.Sprint(i))} })
	}},

	{"of 64 commits that spend one item for another, one succeeds and the others write nothing", func(r *rig) {
		ticket := r.key("ticket")
		version := r.mustCommit(put(ticket, ""))
		r.race(func(i int) []store.Write {
			return []store.Write{put(r.key("a"), fmt.Sprint(i)), remove(ticket, version), put(r.key(fmt.Sprintf("prize%02d", i)), "")}
		})
		r.want(ticket, "", "")
		if got := r.sorts(store.Query{Partition: r.home, Prefix: "prize"}); len(got) != 1 {
			r.Fatalf("got prizes %q, want one", got)
		}
	}},

	{"64 that read and put one number lose none of what they add", func(r *rig) {
		key, turns := r.key("a"), 3
		errs := together(64, func(int) error {
			for done := 0; done < turns; {
				item, err := store.GetOne(r.Context(), r.store, key)
				if err != nil {
					return err
				}
				_, err = r.commit(over(key, item.Version, string(item.Body)+"x"))
				if err != nil && !errors.Is(err, store.ErrConflict) {
					return err
				}
				if err == nil {
					done++
				}
			}
			return nil
		})
		if err := errors.Join(errs...); err != nil {
			r.Fatal(err)
		}
		if got := len(r.get(key).Body); got != 64*turns {
			r.Fatalf("got %d, want %d", got, 64*turns)
		}
	}},
}

// race makes 64 commits at the same time, all of which write the item "a". One of them must succeed, and the item must be as that
// one wrote it.
func (r *rig) race(writes func(i int) []store.Write) {
	r.Helper()
	tokens := make([]store.Version, 64)
	errs := together(len(tokens), func(i int) (err error) {
		tokens[i], err = r.commit(writes(i)...)
		return err
	})
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner >= 0:
			r.Fatalf("both %d and %d won", winner, i)
		case err == nil:
			winner = i
		case !errors.Is(err, store.ErrConflict):
			r.Fatalf("a loser: got %v, want %v", err, store.ErrConflict)
		}
	}
	if winner < 0 {
		r.Fatal("nobody won")
	}
	r.want(r.key("a"), tokens[winner], fmt.Sprint(winner))
}
