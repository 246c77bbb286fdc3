package mfa_test

import (
	"reflect"
	"strings"
	"testing"

	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
)

func pointerTo(s string) *string { return &s }

func putBrand(t *testing.T, w *mfatest.World, version int, b mfa.Brand) mfa.Brand {
	t.Helper()
	got, err := w.PutBrand(t.Context(), w.Client, org, mfa.BrandChange{Brand: b, Version: &version})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestAnOrgsNameIsOnMessagesNoticesAndInTheAuthenticator(t *testing.T) {
	w := mfatest.New(t)
	w.Client = w.NewClient(t, apikey.Grant{Client: "app", Name: "The App", Scopes: apikey.Scopes(), Origins: []string{mfatest.Origin}})
	sentAs := func() (senders []string) {
		t.Helper()
		w.Drain(t)
		for _, m := range w.Outbox.To(mail) {
			senders = append(senders, m.From)
		}
		return senders
	}
	shownAs := func(name string) {
		t.Helper()
		begun, err := w.BeginEnrolment(t.Context(), w.Fresh(), mfa.EnrolRequest{Org: org, User: &mfa.Person{ID: "u-99"}, Kind: mfa.TOTP})
		if err != nil || !strings.Contains(begun.TOTP.URI.Reveal(), "issuer="+name) {
			t.Errorf("got %v, %v, want an app that shows %s", begun.TOTP, err, name)
		}
	}
	w.SetPolicy(t, org, "kls", func(p *mfa.Policy) { p.Methods.TOTP = "allowed" })
	started(t, w, ana())
	shownAs("The%20App")
	putBrand(t, w, 0, mfa.Brand{Name: pointerTo("Acme")})
	started(t, w, ana())
	shownAs("Acme")
	if _, err := w.Report(t.Context(), w.Client, org, user, "password_changed"); err != nil {
		t.Fatal(err)
	}
	lock(t, w)
	senders := sentAs()
	if senders[0] != "The App" || len(senders) < 4 {
		t.Fatalf("got %v", senders)
	}
	for _, s := range senders[1:] {
		if s != "Acme" {
			t.Errorf("got %v, want Acme once the org has a brand", senders)
		}
	}
	putBrand(t, w, 1, mfa.Brand{Colour: pointerTo("#1a2b3c")})
	shownAs("The%20App")
}

func TestABrandIsReplacedByVersionAndLeavesThePolicyAlone(t *testing.T) {
	w := mfatest.New(t)
	whole := mfa.Brand{Name: pointerTo("Acme"), Colour: pointerTo("#1A2b3c"), Logo: pointerTo("https://acme.example/logo.svg?v=1")}
	if none, err := w.GetBrand(t.Context(), w.Client, org); err != nil || !reflect.DeepEqual(none, mfa.Brand{}) {
		t.Errorf("at first: got %+v, %v", none, err)
	}
	putBrand(t, w, 0, whole)
	whole.Version = 1
	if got, err := w.GetBrand(t.Context(), w.Client, org); err != nil || !reflect.DeepEqual(got, whole) {
		t.Errorf("got %+v, %v, want %+v", got, err, whole)
	}
	if p, err := w.GetPolicy(t.Context(), w.Client, org); err != nil || p.Version != 0 || p.Updated != nil || !reflect.DeepEqual(p.Policy, mfa.DefaultPolicy()) {
		t.Errorf("the policy: got %+v, %v, want the default one", p, err)
	}
	if got := orgs(t, w, w.Client, 0); len(got) != 1 {
		t.Errorf("got the orgs %v", got)
	}
	w.SetPolicy(t, org, "kls", nil)
	w.SetPolicy(t, org, "default", nil)
	if got, err := w.GetBrand(t.Context(), w.Client, org); err != nil || !reflect.DeepEqual(got, whole) {
		t.Errorf("after changes of the policy: got %+v, %v", got, err)
	}
	putBrand(t, w, 1, mfa.Brand{})
	if p, err := w.GetPolicy(t.Context(), w.Client, org); err != nil || p.Version != 2 {
		t.Errorf("after a change of the brand: got version %d, %v", p.Version, err)
	}
	_, err := w.PutBrand(t.Context(), w.Client, org, mfa.BrandChange{})
	wantCode(t, err, mfa.PreconditionRequired)
	old := 1
	_, err = w.PutBrand(t.Context(), w.Client, org, mfa.BrandChange{Version: &old})
	wantCode(t, err, mfa.VersionMismatch)
	_, err = w.PutBrand(t.Context(), w.NewClient(t, apikey.Grant{Client: "app", Scopes: []apikey.Scope{apikey.Manage}}), org, mfa.BrandChange{Version: &old})
	wantCode(t, err, mfa.Forbidden)
	w.Drain(t)
	told := 0
	for _, e := range events(t, w, mfa.PolicyChanged) {
		if changed, _ := e.Data["changed"].([]any); len(changed) == 1 && changed[0] == "brand" {
			told++
		}
	}
	if told != 2 {
		t.Errorf("%d events tell of a brand, want 2", told)
	}
}

func TestABrandThatCannotBeIsRefused(t *testing.T) {
	w := mfatest.New(t)
	zero := 0
	for param, bad := range map[string][]mfa.Brand{
		"name":   {{Name: pointerTo("")}, {Name: pointerTo(strings.Repeat("a", 65))}, {Name: pointerTo("two  spaces")}, {Name: pointerTo("a\nb")}, {Name: pointerTo("a\u202eb")}},
		"colour": {{Colour: pointerTo("")}, {Colour: pointerTo("red")}, {Colour: pointerTo("#12345")}, {Colour: pointerTo("#1234567")}, {Colour: pointerTo("#12345g")}, {Colour: pointerTo("#123456\n")}},
		"logo": {
			{Logo: pointerTo("")}, {Logo: pointerTo("http://acme.example/logo.svg")}, {Logo: pointerTo("javascript:alert(1)")}, {Logo: pointerTo("https://")}, {Logo: pointerTo("https://u:p@acme.example/")},
			{Logo: pointerTo("//acme.example/logo.svg")}, {Logo: pointerTo("data:image/png;base64,AA")}, {Logo: pointerTo("https://acme.example/" + strings.Repeat("a", 1024))},
		},
	} {
		for _, b := range bad {
			_, err := w.PutBrand(t.Context(), w.Client, org, mfa.BrandChange{Brand: b, Version: &zero})
			if e := wantCode(t, err, mfa.InvalidRequest); e.Param != param {
				t.Errorf("got param %q, want %s", e.Param, param)
			}
		}
	}
}
