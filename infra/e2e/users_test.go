package main

import (
	"slices"
	"testing"
)

func TestAnAdministratorFindsUsersByWhoTheyAreAndHowTheyAreProtected(t *testing.T) {
	appWorld(t, func(t *testing.T, w *world) {
		bob := person{"acme", "u-18", "bob@acme.example"}
		a, _ := w.enrolApp(t, ana, "")
		w.verify(t, w.asked(t, ana, nil).text("challenge", "id"), doc{"code": a.next(t, w)}).want(t, 200, "")
		w.start(t, bob, nil).want(t, 200, "")
		w.start(t, person{"other", "u-19", "cem@other.example"}, nil).want(t, 200, "")
		list := func(query string) (ids []string, found []doc) {
			t.Helper()
			for next := query; ; {
				page := w.do(t, call{method: "GET", path: "/v1/orgs/acme/users?limit=1" + next}).want(t, 200, "")
				for _, item := range page.list("items") {
					u := doc(item.(map[string]any))
					ids, found = append(ids, u.text("id")), append(found, u)
				}
				if page.at("cursor") == nil {
					slices.Sort(ids)
					return ids, found
				}
				next = query + "&cursor=" + page.text("cursor")
			}
		}
		for query, want := range map[string][]string{
			"": {ana.id, bob.id}, "&status=protected": {ana.id}, "&status=unprotected": {bob.id}, "&status=locked": nil,
			"&q=BOB%40": {bob.id}, "&q=" + ana.id: {ana.id}, "&q=u-1&status=unprotected": {bob.id}, "&q=cem": nil,
		} {
			if got, _ := list(query); !slices.Equal(got, want) {
				t.Errorf("%q: got %v, want %v", query, got, want)
			}
		}
		_, found := list("&q=" + ana.id)
		if u := found[0]; len(u.list("kinds")) != 1 || u.list("kinds")[0] != "totp" || u.text("last_sign_in") == "" || u.text("email") != ana.email || u.at("enabled") != true {
			t.Errorf("got %v", u)
		}
		w.do(t, call{method: "GET", path: "/v1/orgs/acme/users?cursor=AAAA"}).want(t, 400, "invalid_request")
		manage := w.do(t, call{method: "POST", path: "/local/keys", body: doc{"scopes": []string{"sign_in", "manage"}}}).text("key")
		w.do(t, call{method: "GET", path: "/v1/orgs/acme/users", bearer: manage}).want(t, 403, "forbidden")
		w.do(t, call{method: "DELETE", path: bob.path("")}).want(t, 204, "")
		if got, _ := list(""); !slices.Equal(got, []string{ana.id}) {
			t.Errorf("after an erasure: got %v", got)
		}
	})
}
