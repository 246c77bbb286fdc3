package main

import (
	"fmt"
	"strings"
	"testing"

	"countersign/pkg/mfa"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

func TestTheFormatOfRecordsIsPrintedAndSet(t *testing.T) {
	for name, open := range grounds(t) {
		t.Run(name, func(t *testing.T) {
			o := newOperator()
			g := open(t, o)
			local := g.flags[0] == "--local"
			run := func(args ...string) int { return o.run(t, append(append([]string{"format"}, args...), g.flags...)...) }
			if code := run("1"); !local && (code != 1 || !strings.Contains(o.told, "no key ring yet")) {
				t.Errorf("without a ring: got exit code %d and %s", code, o.told)
			}
			g.with(t, func(s store.Store) {
				if !local {
					putRing(t, s, someday)
				}
			})
			for _, args := range [][]string{{}, {fmt.Sprint(record.Latest)}, {}} {
				code := run(args...)
				if want := fmt.Sprintf("are written in format %d.", record.Latest); code != 0 || !strings.Contains(o.said, want) {
					t.Errorf("%q: got exit code %d, %s%s, want %q", args, code, o.said, o.told, want)
				}
			}
			if code := run(fmt.Sprint(record.Latest + 1)); code != 2 || !strings.Contains(o.told, "this version of the program has") {
				t.Errorf("a format that this build doesn't have: got exit code %d and %s", code, o.told)
			}
			g.with(t, func(s store.Store) {
				item, err := store.GetOne(t.Context(), s, mfa.PublishedKeysAt)
				if err != nil || item.Absent() {
					t.Errorf("got %+v, %v, want that the published keys stay", item, err)
				}
			})
		})
	}
}

func TestTheFormatOfAFolderIsInItsKeyFile(t *testing.T) {
	dir := newFolder(t)
	o := newOperator()
	o.must(t, "format", fmt.Sprint(record.Latest), "--local", dir)
	f, err := openFolder(dir, o.now)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := f.OpenKeys(false)
	if err != nil {
		t.Fatal(err)
	}
	if ring, err := keys.Ring(t.Context()); err != nil || ring.RecordFormat() != record.Latest {
		t.Errorf("got %v, %v, want a ring that says format %d", ring, err, record.Latest)
	}
}
