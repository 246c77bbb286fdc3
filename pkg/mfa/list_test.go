package mfa_test

import (
	"slices"
	"testing"

	"countersign/pkg/mfa"
)

func TestTrustedBrowsersAreListedPageByPage(t *testing.T) {
	w := kls(t, nil)
	for range 5 {
		trusted(t, w)
	}
	var want []string
	for _, b := range browsers(t, w) {
		want = append(want, b.ID)
	}
	slices.Sort(want)
	for limit, pages := range map[int]int{0: 1, 1: 5, 2: 3, 4: 2, 5: 1, 200: 1} {
		var got []string
		q := mfa.ListQuery{Limit: limit}
		for n := 1; ; n++ {
			page, err := w.ListBrowsers(t.Context(), w.Client, org, user, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range page.Items {
				got = append(got, b.ID)
			}
			if page.Cursor == nil {
				if n != pages {
					t.Errorf("limit %d: got %d pages, want %d", limit, n, pages)
				}
				break
			}
			q.Cursor = *page.Cursor
		}
		if !slices.Equal(got, want) {
			t.Errorf("limit %d: got %v, want %v", limit, got, want)
		}
	}
	first, err := w.ListBrowsers(t.Context(), w.Client, org, user, mfa.ListQuery{Limit: 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.RevokeBrowser(t.Context(), w.Client, org, user, first.Items[1].ID); err != nil {
		t.Fatal(err)
	}
	rest, err := w.ListBrowsers(t.Context(), w.Client, org, user, mfa.ListQuery{Cursor: *first.Cursor})
	if err != nil || len(rest.Items) != 3 || rest.Items[0].ID != want[2] {
		t.Errorf("after the place was removed: got %+v, %v, want the three after it", rest.Items, err)
	}
}

func TestL5ACursorOfOneListIsNoneOfAnother(t *testing.T) {
	w := kls(t, nil)
	for range 2 {
		trusted(t, w)
	}
	w.Drain(t)
	if _, err := w.PutUser(t.Context(), w.Client, org, mfa.Person{ID: "bob"}); err != nil {
		t.Fatal(err)
	}
	one := mfa.ListQuery{Limit: 1}
	ofBrowsers, err := w.ListBrowsers(t.Context(), w.Client, org, user, one)
	if err != nil {
		t.Fatal(err)
	}
	ofActivity, err := w.UserActivity(t.Context(), w.Client, mfa.ActivityQuery{Org: org, User: user, ListQuery: one})
	if err != nil {
		t.Fatal(err)
	}
	for name, list := range map[string]func() error{
		"another user's browsers": func() error {
			_, err := w.ListBrowsers(t.Context(), w.Client, org, "bob", mfa.ListQuery{Cursor: *ofBrowsers.Cursor})
			return err
		},
		"browsers, by a cursor of the activity": func() error {
			_, err := w.ListBrowsers(t.Context(), w.Client, org, user, mfa.ListQuery{Cursor: *ofActivity.Cursor})
			return err
		},
		"activity, by a cursor of the browsers": func() error {
			_, err := w.UserActivity(t.Context(), w.Client, mfa.ActivityQuery{Org: org, User: user, ListQuery: mfa.ListQuery{Cursor: *ofBrowsers.Cursor}})
			return err
		},
		"browsers, by a cursor that was made up": func() error {
			_, err := w.ListBrowsers(t.Context(), w.Client, org, user, mfa.ListQuery{Cursor: "AAAA"})
			return err
		},
		"browsers, by a cursor that is too long": func() error {
			_, err := w.ListBrowsers(t.Context(), w.Client, org, user, mfa.ListQuery{Cursor: string(make([]byte, 1025))})
			return err
		},
	} {
		if e := wantCode(t, list(), mfa.InvalidRequest); e.Param != "cursor" {
			t.Errorf("%s: got param %q, want cursor", name, e.Param)
		}
	}
}
