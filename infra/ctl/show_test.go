package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/pkg/cloud/keyring"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
	"countersign/pkg/store/storetest"
)

func TestShowPrintsItemsAsJSONAndNoSecret(t *testing.T) {
	dir := newFolder(t)
	o := newOperator()
	o.must(t, "keys", "create", "--client", "app", "--name", "Acme", "--scope", "sign_in", "--local", dir)
	hash := seal.HashBearer(strings.TrimSpace(o.said))
	o.must(t, "show", "key#"+hash, "key", "--local", dir)
	if got := o.said; !strings.Contains(got, `"client":"app"`) || !strings.Contains(got, `"name":"Acme"`) || !strings.Contains(got, `"scopes":["sign_in"]`) {
		t.Errorf("the key's item: got %s", got)
	}
	o.must(t, "show", "keys", "--local", dir)
	if all := o.said; strings.Count(all, "\n") != 3 || !strings.Contains(all, `"sort":"`+hash) {
		t.Errorf("the list of keys: got %s", all)
	}
	o.must(t, "show", "filter", "--local", dir)
	if !strings.Contains(o.said, " bytes)") {
		t.Errorf("the filter key: got %s, want how long it is and no more", o.said)
	}
	if code := o.run(t, "show", "key#"+hash, "other", "--local", dir); code != 1 || !strings.Contains(o.told, "no such item") {
		t.Errorf("an item that is not there: got exit code %d and %s", code, o.told)
	}
}

func TestShowPrintsWhatAnItemHasNotHandedOnYet(t *testing.T) {
	dir := newFolder(t)
	f, err := openFolder(dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	db, err := openDatabase(f)
	if err != nil {
		t.Fatal(err)
	}
	mfatest.Over(t, db, db, storetest.NewClock(time.Now())).SetPolicy(t, "acme", "kls", nil)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	o := newOperator()
	partition := "org#" + base64.RawURLEncoding.EncodeToString([]byte(seal.Route("acme")))
	o.must(t, "show", partition, "policy", "--local", dir)
	var shown struct {
		Item   struct{ Version int }
		Events []struct {
			Events []struct {
				Type string
				Org  string
				Data map[string]any
			}
		}
	}
	if err := json.Unmarshal([]byte(o.said), &shown); err != nil {
		t.Fatal(err)
	}
	if len(shown.Events) != 1 || len(shown.Events[0].Events) != 1 {
		t.Fatalf("got %s, want the item with one batch of one event", o.said)
	}
	if e := shown.Events[0].Events[0]; e.Type != mfa.PolicyChanged || e.Org != "acme" || e.Data["changed"] == nil {
		t.Errorf("got %s, want what was changed", o.said)
	}
}

func TestShowPrintsCounts(t *testing.T) {
	for name, open := range grounds(t) {
		t.Run(name, func(t *testing.T) {
			o := newOperator()
			g := open(t, o)
			const partition = "count#AAAA#sms#2026-11-22T10"
			g.with(t, func(s store.Store) {
				for range 3 {
					if _, err := s.Count(t.Context(), store.Key{Partition: partition, Sort: "sent"}, 1, 100, someday.Add(time.Hour)); err != nil {
						t.Fatal(err)
					}
				}
			})
			for _, sort := range [][]string{nil, {"sent"}} {
				o.must(t, append(append([]string{"show", partition}, sort...), g.flags...)...)
				if want := `{"sort":"sent","number":3}` + "\n"; o.said != want {
					t.Errorf("%q: got %s, want %s", sort, o.said, want)
				}
			}
			for _, sort := range []string{"returned", "guard"} {
				if code := o.run(t, append([]string{"show", partition, sort}, g.flags...)...); code != 1 || !strings.Contains(o.told, "no such count") {
					t.Errorf("%s: got exit code %d and %s", sort, code, o.told)
				}
			}
		})
	}
}

// show can print every item that the map of the table has.
func TestShowKnowsEveryItemOfTheTable(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "pkg", "mfa", "table.go"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "//\tpartition ")
	header, table, _ := strings.Cut("//\tpartition "+table, "\n")
	table, _, whole := strings.Cut(table, "\n//\n")
	if !found || !whole {
		t.Fatal("the package comment of mfa has no map of the table")
	}
	sort, item := strings.Index(header, "sort "), strings.Index(header, "item ")
	rows := 0
	for line := range strings.SplitSeq(table, "\n") {
		key := store.Key{Partition: strings.TrimSpace(cells(line, len("//\t"), sort)), Sort: strings.TrimSpace(cells(line, sort, item))}
		if key.Partition == "" {
			continue // this line goes on with the row above
		}
		rows++
		if counts := mfa.CountsIn(key.Partition); counts != nil {
			if !slices.Contains(counts, key.Sort) {
				t.Errorf("%s %s: got the counts %q, want this one too", key.Partition, key.Sort, counts)
			}
			continue
		}
		if _, err := keyring.ShowItem(store.Item{Key: key, Version: "v", Body: []byte{0xff}}); !errors.Is(err, record.ErrUnreadable) {
			t.Errorf("%s %s: got %v, want that the item is of a kind that is known, and unreadable", key.Partition, key.Sort, err)
		}
	}
	if rows < 20 {
		t.Errorf("found %d rows, want the 20 and more that there are", rows)
	}
}

// cells returns the part of a line between two columns, counted in characters.
func cells(line string, from, to int) string {
	runes := []rune(line)
	return string(runes[min(from, len(runes)):min(to, len(runes))])
}
