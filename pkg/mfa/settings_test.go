package mfa_test

import (
	"fmt"
	"strings"
	"testing"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
)

// A program that reads the events learns exactly which settings were changed.
func TestAChangeOfAPolicyNamesWhatWasChanged(t *testing.T) {
	w := kls(t, nil)
	var want []string
	thereAndBack := func(names string, change func(*mfa.Policy)) {
		w.SetPolicy(t, org, "kls", change)
		w.SetPolicy(t, org, "kls", nil)
		want = append(want, names, names)
	}
	for _, c := range []struct{ path, value string }{
		{"methods.totp", `"allowed"`}, {"methods.webauthn", `"allowed"`}, {"methods.sms", `"allowed"`}, {"methods.email", `"enrolled"`},
		{"email_backup", `"pinned"`}, {"require", `"nobody"`},
		{"challenge.window_s", `300`}, {"challenge.email_code_s", `60`}, {"challenge.sms_code_s", `60`}, {"challenge.attempts", `3`},
		{"challenge.sends", `1`}, {"challenge.resend_after_s", `10`},
		{"trust.days", `1`}, {"trust.cap", `1`}, {"trust.rotate", `false`}, {"recovery.count", `1`}, {"recovery.effect", `"reset"`},
		{"sso", `"ask"`}, {"enrolment_proof", `"email"`}, {"totp.skew", `0`}, {"locale", `"fr"`},
	} {
		name, _, _ := strings.Cut(c.path, ".")
		thereAndBack("["+name+"]", func(p *mfa.Policy) { *p = changed(t, c.path, c.value) })
	}
	thereAndBack("[methods recovery]", func(p *mfa.Policy) { p.Methods.TOTP, p.Recovery.Count = mfa.Allowed, 3 })
	thereAndBack("[]", nil)
	var got []string
	for _, e := range events(t, w, mfa.PolicyChanged)[1:] {
		got = append(got, fmt.Sprint(e.Data["changed"]))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// A preview and a decision do no work that could be done twice. They accept an Idempotency-Key, but it changes nothing: they
// always say what is true now, and store nothing.
func TestWhatHasNoEffectIsNotRemembered(t *testing.T) {
	w := mfatest.New(t)
	preview := func() mfa.Preview {
		t.Helper()
		got, err := w.PreviewPolicy(t.Context(), keyed(w.Client, "/preview", "k", "{}"), org, profile(t, "kls"))
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	decide := func() mfa.Decision {
		t.Helper()
		got, err := w.Decide(t.Context(), keyed(w.Client, "/decisions", "k", "{}"), ana())
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	before := w.Faults.Counts().Items
	if got := preview(); got.Users != 0 {
		t.Errorf("got %+v, want no user", got)
	}
	if got := decide(); got.Reason != mfa.NotRequired {
		t.Errorf("got %+v, want %s", got, mfa.NotRequired)
	}
	if got := w.Faults.Counts().Items - before; got != 0 {
		t.Errorf("got %d items written, want none", got)
	}
	if _, err := w.PutUser(t.Context(), w.Client, org, ana().User); err != nil {
		t.Fatal(err)
	}
	if got := preview(); got.Users != 1 {
		t.Errorf("got %+v, want the user who has come since", got)
	}
	w.SetPolicy(t, org, "kls", nil)
	if got := decide(); got.Reason != mfa.NewBrowser {
		t.Errorf("got %+v, want what the policy says by now", got)
	}
}
