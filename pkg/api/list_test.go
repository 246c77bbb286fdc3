package api_test

import (
	"testing"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
)

func TestEveryListTakesALimitFrom1To200(t *testing.T) {
	w := newWorld(t)
	w.asks()
	for _, name := range []string{"Mine", "Yours"} {
		w.trusted(name)
	}
	w.service.Bus = &mfatest.Events{}
	if err := w.feed.Deliver(t.Context(), 100, w.service.Publish); err != nil {
		t.Fatal(err)
	}
	w.wants("another user", w.do("PUT", "/v1/orgs/acme/users/u-18", `{"name":"Bob"}`), 200)
	for _, path := range []string{anasPath + "/browsers", anasPath + "/activity", "/v1/orgs/acme/activity", "/v1/orgs/acme/users"} {
		for _, limit := range []string{"0", "201", "-1", "1.5", "1e1", "+5", "05", " 5", "%205", "ten", "0x10", "99999999999999999999", "null"} {
			w.refused(path+" "+limit, w.do("GET", path, "", queried("limit="+limit)), 400, mfa.InvalidRequest, "limit")
		}
		for _, raw := range []string{"limit=1&limit=1", "limit=1&limit=2", "limit=", "limit"} {
			w.refused(path+" "+raw, w.do("GET", path, "", queried(raw)), 400, mfa.InvalidRequest, "limit")
		}
		all := len(w.wants(path, w.do("GET", path+"?limit=200", ""), 200).at("items").([]any))
		if all < 2 {
			t.Fatalf("%s: got %d items, want two or more", path, all)
		}
		seen := map[string]bool{}
		next := path + "?limit=1"
		for pages := 1; ; pages++ {
			page := w.wants(next, w.do("GET", next, ""), 200)
			items := page.at("items").([]any)
			if len(items) != 1 {
				t.Fatalf("%s: got %d items, want 1", next, len(items))
			}
			seen[items[0].(map[string]any)["id"].(string)] = true
			cursor, more := page.at("cursor").(string)
			if !more {
				break
			}
			next = path + "?limit=1&cursor=" + cursor
		}
		if len(seen) != all {
			t.Errorf("%s: got %d items one by one, want %d", path, len(seen), all)
		}
	}
}

func TestAListOfUsersRefusesAQueryThatItDoesNotKnow(t *testing.T) {
	w := newWorld(t)
	w.wants("a user", w.do("PUT", anasPath, `{"email":"ana@acme.example","name":"Ana"}`), 200)
	path := "/v1/orgs/acme/users"
	for raw, param := range map[string]string{
		"status=Protected": "status", "status=": "status", "q=": "q", "q=a&q=a": "q", "q=%00": "q", "cursor=AAAA": "cursor", "name=ana": "query",
	} {
		w.refused(raw, w.do("GET", path, "", queried(raw)), 400, mfa.InvalidRequest, param)
	}
	for raw, want := range map[string]int{"q=an": 1, "q=u-17": 1, "q=ANA%40": 1, "q=b": 0, "status=unprotected": 1, "status=locked": 0, "status=unprotected&q=an": 1} {
		got := w.wants(raw, w.do("GET", path, "", queried(raw)), 200)
		if n := len(got.at("items").([]any)); n != want || got.at("cursor") != nil {
			t.Errorf("%s: got %s, want %d users", raw, got.text, want)
		}
	}
}
