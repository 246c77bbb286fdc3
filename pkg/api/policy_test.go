package api_test

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"countersign/pkg/mfa"
)

const policy = "/v1/orgs/acme/policy"

func at(version string) alteration { return with("If-Match", `"`+version+`"`) }

// settings returns the settings of a policy, without the other fields of the answer.
func settings(t *testing.T, r reply) map[string]any {
	t.Helper()
	var s map[string]any
	if err := json.Unmarshal([]byte(r.text), &s); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"org", "version", "updated"} {
		if _, there := s[name]; !there {
			t.Errorf("a policy without %s: %s", name, r.text)
		}
		delete(s, name)
	}
	return s
}

func TestAnOrgNeverSeenHasTheDefaultPolicy(t *testing.T) {
	w := newWorld(t)
	got := w.wants("get", w.do("GET", policy, ""), 200)
	if got.header.Get("ETag") != `"0"` || got.at("version") != 0.0 || got.at("updated") != nil || got.word("org") != "acme" {
		t.Errorf("got %s with ETag %s", got.text, got.header.Get("ETag"))
	}
	said, err := json.Marshal(mfa.DefaultPolicy())
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]any
	if err := json.Unmarshal(said, &want); err != nil {
		t.Fatal(err)
	}
	if s := settings(t, got); !reflect.DeepEqual(s, want) {
		t.Errorf("got %v, want %v", s, want)
	}
}

func TestAPolicyIsReplacedWholeByWhoSaysWhatItReplaces(t *testing.T) {
	w := newWorld(t)
	first := w.wants("put", w.do("PUT", policy, `{"trust":{"days":7},"challenge":{"attempts":3,"window_s":600},"locale":"fr"}`, at("0")), 200)
	if first.header.Get("ETag") != `"1"` || first.word("updated") != "2026-11-22T10:00:00Z" {
		t.Errorf("got %s with ETag %s", first.text, first.header.Get("ETag"))
	}
	want := settings(t, w.do("GET", "/v1/orgs/other/policy", ""))
	want["trust"] = map[string]any{"days": 7.0, "cap": 10.0, "rotate": true}
	want["challenge"].(map[string]any)["attempts"] = 3.0
	want["challenge"].(map[string]any)["window_s"] = 600.0
	want["locale"] = "fr"
	if got := settings(t, first); !reflect.DeepEqual(got, want) {
		t.Errorf("groups merge: got %v, want %v", got, want)
	}
	second := w.wants("put again", w.do("PUT", policy, `{"trust":{"rotate":false}}`, at("1")), 200)
	if second.at("trust.days") != 30.0 || second.at("trust.rotate") != false || second.word("locale") != "en" {
		t.Errorf("what is absent takes the default, not what was there: got %s", second.text)
	}
	shown := w.wants("get", w.do("GET", policy, ""), 200)
	if shown.text != second.text || shown.header.Get("ETag") != `"2"` {
		t.Errorf("get: got %s, want %s", shown.text, second.text)
	}
	back := w.wants("what was got comes back", w.do("PUT", policy, shown.text, at("2")), 200)
	if !reflect.DeepEqual(settings(t, back), settings(t, shown)) || back.at("version") != 3.0 {
		t.Errorf("got %s, want %s as version 3", back.text, shown.text)
	}
	odd := w.wants("what is ignored", w.do("PUT", policy, `{"org":{"a":1},"version":"x","updated":null}`, at("3")), 200)
	if odd.word("org") != "acme" || odd.at("version") != 4.0 {
		t.Errorf("got %s", odd.text)
	}
	w.wants("null where there may be none", w.do("PUT", policy, `{"grace_until":null,"max_skips":null}`, at("4")), 200)
}

func TestAProfileIsTakenAsItIsOrWithChanges(t *testing.T) {
	w := newWorld(t)
	want, err := mfa.ProfilePolicy("kls")
	if err != nil {
		t.Fatal(err)
	}
	taken := w.wants("as it is", w.do("PUT", policy, `{"profile":"kls"}`, at("0")), 200)
	changed := w.wants("changed", w.do("PUT", policy, `{"trust":{"days":7},"profile":"kls"}`, at("1")), 200)
	for days, got := range map[int]reply{30: taken, 7: changed} {
		want.Trust.Days = days
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var all map[string]any
		if err := json.Unmarshal(text, &all); err != nil {
			t.Fatal(err)
		}
		if s := settings(t, got); !reflect.DeepEqual(s, all) {
			t.Errorf("got %v, want %v", s, all)
		}
	}
	if strings.Contains(taken.text, "profile") {
		t.Errorf("a policy remembers where it came from: %s", taken.text)
	}
}

func TestAPolicyIsNotReplacedUnseen(t *testing.T) {
	w := newWorld(t)
	w.refused("no If-Match", w.do("PUT", policy, `{}`), 428, mfa.PreconditionRequired, "")
	for _, bad := range []string{"", "*", "0", `W/"0"`, `"0`, `0"`, `""`, `"00"`, `"+0"`, `"-1"`, `"0", "1"`, `"x"`, `"99999999999999999999"`, `"0"x`, `""0""`} {
		w.refused("If-Match "+bad, w.do("PUT", policy, `{}`, with("If-Match", bad)), 400, mfa.InvalidRequest, "If-Match")
	}
	w.refused("two", w.do("PUT", policy, `{}`, at("0"), func(r *http.Request) { r.Header.Add("If-Match", `"0"`) }),
		400, mfa.InvalidRequest, "If-Match")
	w.refused("another version", w.do("PUT", policy, `{}`, at("1")), 412, mfa.VersionMismatch, "")
	w.wants("the version", w.do("PUT", policy, `{}`, at("0")), 200)
	w.refused("the version of before", w.do("PUT", policy, `{}`, at("0")), 412, mfa.VersionMismatch, "")
}

func TestAChangeThatForcesUsersShowsWhomFirst(t *testing.T) {
	w := newWorld(t)
	w.wants("a user", w.do("PUT", "/v1/orgs/acme/users/u-17", `{"email":"ana@acme.example"}`), 200)
	w.wants("a user without an address", w.do("PUT", "/v1/orgs/acme/users/u-18", `{}`), 200)
	got := w.do("PUT", policy, `{"profile":"kls"}`, at("0"))
	w.refused("unacknowledged", got, 409, mfa.AcknowledgementRequired, "")
	if got.at("preview.users") != 2.0 || got.at("preview.must_enrol") != 1.0 || len(got.at("preview.sample").([]any)) != 2 {
		t.Errorf("the preview: got %s", got.text)
	}
	w.refused("acknowledged with false", w.do("PUT", policy, `{"profile":"kls","acknowledge":false}`, at("0")), 409, mfa.AcknowledgementRequired, "")
	w.wants("acknowledged", w.do("PUT", policy, `{"profile":"kls","acknowledge":true}`, at("0")), 200)
}

func TestH5ANumberOfSkipsNeedsADate(t *testing.T) {
	w := newWorld(t)
	w.refused("without a date", w.do("PUT", policy, `{"max_skips":3}`, at("0")), 400, mfa.InvalidRequest, "max_skips")
	got := w.wants("with one", w.do("PUT", policy, `{"effect":"sign_out_now","grace_until":"2027-01-01T00:00:00Z","max_skips":3}`, at("0")), 200)
	if got.word("effect") != "sign_out_now" || got.word("grace_until") != "2027-01-01T00:00:00Z" || got.at("max_skips") != 3.0 {
		t.Errorf("got %s", got.text)
	}
}

func TestABrandIsPutAsItIsReadAndTaggedByItsVersion(t *testing.T) {
	w := newWorld(t)
	path := "/v1/orgs/acme/brand"
	none := w.wants("at first", w.do("GET", path, ""), 200)
	if none.text != `{"name":null,"colour":null,"logo":null}` || none.header.Get("ETag") != `"0"` {
		t.Errorf("got %s %v", none.text, none.header)
	}
	body := `{"name":"Acme","colour":"#1a2b3c","logo":"https://acme.example/logo.svg"}`
	w.refused("without If-Match", w.do("PUT", path, body), 428, mfa.PreconditionRequired, "")
	w.refused("a weak tag", w.do("PUT", path, body, with("If-Match", `W/"0"`)), 400, mfa.InvalidRequest, "If-Match")
	if put := w.wants("put", w.do("PUT", path, body, with("If-Match", `"0"`)), 200); put.text != body || put.header.Get("ETag") != `"1"` {
		t.Errorf("got %s %v", put.text, put.header)
	}
	w.refused("an old tag", w.do("PUT", path, body, with("If-Match", `"0"`)), 412, mfa.VersionMismatch, "")
	if got := w.wants("read", w.do("GET", path, ""), 200); got.text != body || got.header.Get("ETag") != `"1"` {
		t.Errorf("got %s %v", got.text, got.header)
	}
	for said, param := range map[string]string{
		`{"name":""}`: "name", `{"colour":"red"}`: "colour", `{"logo":"http://acme.example/"}`: "logo", `{"color":"#1a2b3c"}`: "color", `{"version":1}`: "version", `{"name":1}`: "name",
	} {
		w.refused(said, w.do("PUT", path, said, with("If-Match", `"1"`)), 400, mfa.InvalidRequest, param)
	}
	if put := w.wants("cleared", w.do("PUT", path, `{"colour":null}`, with("If-Match", `"1"`)), 200); put.text != none.text {
		t.Errorf("got %s", put.text)
	}
}
