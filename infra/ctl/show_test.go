package main

import (
	"strings"
	"testing"

	"countersign/pkg/seal"
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
	if all := o.said; strings.Count(all, "\n") != 2 || !strings.Contains(all, `"sort":"`+hash) {
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
