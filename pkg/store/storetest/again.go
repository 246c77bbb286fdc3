package storetest

import (
	"errors"
	"time"

	"countersign/pkg/store"
)

// againCases check a Commit that is made again with the same token, because its answer was lost.
var againCases = []contractCase{
	{"one item that is committed again with its token is not written again", func(r *rig) {
		key := r.key("a")
		token := store.NewVersion()
		r.again(token, nil, put(key, "1"))
		r.again(token, nil, put(key, "1"))
		r.want(key, token, "1")

		next := store.NewVersion()
		r.again(next, nil, over(key, token, "2"))
		r.again(next, nil, over(key, token, "2"))
		r.want(key, next, "2")
	}},

	{"several items, one of them deleted, that are committed again are not written again", func(r *rig) {
		a, b, gone := r.key("a"), r.key("b"), r.key("gone")
		version := r.mustCommit(put(b, "1"), put(gone, "1"))
		token := store.NewVersion()
		writes := []store.Write{remove(gone, version), put(a, "2"), over(b, version, "2")}
		r.again(token, nil, writes...)
		r.again(token, nil, writes...)
		r.want(a, token, "2")
		r.want(b, token, "2")
		r.want(gone, "", "")
	}},

	{"a commit that is made again doesn't change what others have written since", func(r *rig) {
		a, b, c, gone := r.key("a"), r.key("b"), r.key("c"), r.key("gone")
		version := r.mustCommit(put(gone, "1"))
		token := store.NewVersion()
		writes := []store.Write{put(a, "1"), put(b, "1"), put(c, "1"), remove(gone, version)}
		r.again(token, nil, writes...)

		// One item is overwritten, and one is deleted and then made again. Only c still has the token.
		since := r.mustCommit(over(a, token, "2"), remove(b, token), put(gone, "2"))
		r.again(token, nil, writes...)
		r.want(a, since, "2")
		r.want(b, "", "")
		r.want(c, token, "1")
		r.want(gone, since, "2")
	}},

	{"a commit whose items have all expired conflicts when it is made again", func(r *rig) {
		a, b := r.key("a"), r.key("b")
		version := r.mustCommit(put(a, "1"), put(b, "1"))
		token := store.NewVersion()
		writes := []store.Write{until(r.in(time.Minute), over(a, version, "2")), until(r.in(time.Minute), over(b, version, "2"))}
		r.again(token, nil, writes...)
		r.clock.Advance(time.Minute)
		r.again(token, store.ErrConflict, writes...)
		r.want(a, "", "")
		r.want(b, "", "")

		single := store.NewVersion()
		write := until(r.in(time.Minute), over(r.key("c"), r.mustCommit(put(r.key("c"), "1")), "2"))
		r.again(single, nil, write)
		r.clock.Advance(time.Minute)
		r.again(single, store.ErrConflict, write)
	}},

	{"a commit of whose items nothing is left conflicts when it is made again", func(r *rig) {
		a, b := r.key("a"), r.key("b")
		token := store.NewVersion()
		writes := []store.Write{put(a, "1"), put(b, "1")}
		r.again(token, nil, writes...)
		since := r.mustCommit(over(a, token, "2"), remove(b, token))
		r.again(token, store.ErrConflict, writes...)
		r.want(a, since, "2")
		r.want(b, "", "")

		one := store.NewVersion()
		r.again(one, nil, put(r.key("c"), "1"))
		since = r.mustCommit(over(r.key("c"), one, "2"))
		r.again(one, store.ErrConflict, put(r.key("c"), "1"))
		r.want(r.key("c"), since, "2")
	}},

	{"a commit that conflicted can be made again when it no longer does", func(r *rig) {
		key := r.key("a")
		version := r.mustCommit(put(key, "1"))
		token := store.NewVersion()
		r.again(token, store.ErrConflict, put(key, "2"))
		r.mustCommit(remove(key, version), put(r.key("b"), ""))
		r.again(token, nil, put(key, "2"))
		r.want(key, token, "2")
	}},

	{"64 commits of the same writes with one token all succeed, and write them once", func(r *rig) {
		a, b := r.key("a"), r.key("b")
		version := r.mustCommit(put(a, "1"))
		token := store.NewVersion()
		errs := together(64, func(int) error {
			return r.store.Commit(r.Context(), token, over(a, version, "2"), put(b, "2"))
		})
		if err := errors.Join(errs...); err != nil {
			r.Fatalf("got %v, want nil", err)
		}
		r.want(a, token, "2")
		r.want(b, token, "2")
	}},
}

// again commits with a token that is given, and checks the error that this returns.
func (r *rig) again(token store.Version, want error, writes ...store.Write) {
	r.Helper()
	if err := r.store.Commit(r.Context(), token, writes...); !errors.Is(err, want) {
		r.Fatalf("Commit: got %v, want %v", err, want)
	}
}
