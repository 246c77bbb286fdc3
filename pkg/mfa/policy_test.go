package mfa_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
	"countersign/pkg/store"
)

func profile(t *testing.T, name string) mfa.Policy {
	t.Helper()
	p, err := mfa.ProfilePolicy(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTheProfilesAreThoseOfTheProduct(t *testing.T) {
	var want mfa.Policy
	want.Methods.TOTP, want.Methods.WebAuthn, want.Methods.SMS, want.Methods.Email = "allowed", "allowed", "forbidden", "enrolled"
	want.EmailBackup, want.Require, want.Effect = "allowed", "nobody", "next_sign_in"
	want.Challenge.WindowS, want.Challenge.EmailCodeS, want.Challenge.SMSCodeS = 900, 600, 600
	want.Challenge.Attempts, want.Challenge.Sends, want.Challenge.ResendAfterS = 5, 5, 30
	want.Trust.Days, want.Trust.Cap, want.Trust.Rotate = 30, 10, true
	want.Recovery.Count, want.Recovery.Effect = 10, "sign_in"
	want.SSO, want.SSOAMR, want.SSOACR, want.SSOMaxAgeS = "bypass", []string{"mfa"}, []string{}, 43200
	want.EnrolmentProof, want.WebAuthn.UserVerification, want.TOTP.Skew = "email", "discouraged", 1
	want.SMS.Countries, want.SMS.DailyCap, want.SMS.UserDailyCap = []string{}, 500, 10
	want.SMS.HourlyPrefixCap, want.SMS.MinConversion = 20, 20
	want.Notify = []string{}
	want.Reset.Reason, want.Reset.SelfService, want.Risk.High, want.Locale = "required", "off", "ask", "en"
	if got := mfa.DefaultPolicy(); !reflect.DeepEqual(got, want) {
		t.Errorf("default: got %+v, want %+v", got, want)
	}
	standard := want
	for _, row := range []struct {
		name                                           string
		totp, webauthn, sms, email, backup, require    string
		emailCodeS, trustDays, recoveryCount           int
		recoveryEffect, sso, proof, verificationOfUser string
	}{
		{"kls", "forbidden", "forbidden", "forbidden", "implicit", "forbidden", "everyone", 900, 30, 0, "sign_in", "bypass", "none", "discouraged"},
		{"salto", "allowed", "forbidden", "allowed", "enrolled", "pinned", "nobody", 600, 0, 1, "reset", "ask", "none", "discouraged"},
		{"karbon", "allowed", "forbidden", "forbidden", "forbidden", "forbidden", "nobody", 600, 0, 10, "sign_in", "ask", "email", "discouraged"},
		{"helpdesk", "allowed", "forbidden", "forbidden", "enrolled", "allowed", "nobody", 600, 0, 10, "sign_in", "ask", "email", "discouraged"},
		{"nist", "allowed", "allowed", "allowed", "forbidden", "forbidden", "nobody", 600, 1, 10, "sign_in", "proven", "email", "required"},
	} {
		want := standard
		want.Methods.TOTP, want.Methods.WebAuthn, want.Methods.SMS, want.Methods.Email = row.totp, row.webauthn, row.sms, row.email
		want.EmailBackup, want.Require, want.Challenge.EmailCodeS, want.Trust.Days = row.backup, row.require, row.emailCodeS, row.trustDays
		want.Recovery.Count, want.Recovery.Effect, want.SSO = row.recoveryCount, row.recoveryEffect, row.sso
		want.EnrolmentProof, want.WebAuthn.UserVerification = row.proof, row.verificationOfUser
		got := profile(t, row.name)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", row.name, got, want)
		}
		if err := got.Check(); err != nil {
			t.Errorf("%s: %v", row.name, err)
		}
	}
	if err := standard.Check(); err != nil {
		t.Errorf("default: %v", err)
	}
	for _, name := range []string{"", "none", "../profiles/kls", "KLS", "kls.json", "."} {
		_, err := mfa.ProfilePolicy(name)
		if e := wantCode(t, err, mfa.InvalidRequest); e.Param != "profile" {
			t.Errorf("%q: got param %q", name, e.Param)
		}
	}
}

// changed returns the kls policy with one setting changed. path names the setting, and value is in JSON.
func changed(t *testing.T, path, value string) mfa.Policy {
	t.Helper()
	p := profile(t, "kls")
	text := value
	for _, name := range slices.Backward(strings.Split(path, ".")) {
		text = fmt.Sprintf("{%q:%s}", name, text)
	}
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return p
}

func TestEverySettingKeepsToItsRange(t *testing.T) {
	w := kls(t, nil)
	for _, c := range []struct {
		path string
		good []string
		bad  []string
	}{
		{path: "methods.totp", good: []string{`"allowed"`, `"forbidden"`}, bad: []string{`""`, `"enrolled"`, `"Allowed"`}},
		{path: "methods.webauthn", good: []string{`"allowed"`, `"forbidden"`}, bad: []string{`"implicit"`}},
		{path: "methods.sms", good: []string{`"allowed"`, `"forbidden"`}, bad: []string{`"yes"`}},
		{path: "methods.email", good: []string{`"implicit"`, `"enrolled"`}, bad: []string{`"allowed"`, `""`}},
		{path: "email_backup", good: []string{`"pinned"`, `"allowed"`, `"forbidden"`}, bad: []string{`"enrolled"`}},
		{path: "require", good: []string{`"nobody"`, `"everyone"`}, bad: []string{`""`, `"all"`}},
		{path: "effect", good: []string{`"next_sign_in"`, `"sign_out_now"`}, bad: []string{`"now"`}},
		{path: "grace_until", good: []string{`null`, `"2027-01-01T00:00:00Z"`}},
		{path: "max_skips", good: []string{`null`}, bad: []string{`-1`, `1001`, `0`, `3`}}, // a number needs a date
		{path: "challenge.window_s", good: []string{`300`, `900`}, bad: []string{`299`, `901`, `0`, `-300`}},
		{path: "challenge.email_code_s", good: []string{`60`, `900`}, bad: []string{`59`, `901`}},
		{path: "challenge.sms_code_s", good: []string{`60`, `600`}, bad: []string{`59`, `601`}},
		{path: "challenge.attempts", good: []string{`3`, `10`}, bad: []string{`2`, `11`, `0`}},
		{path: "challenge.sends", good: []string{`1`, `10`}, bad: []string{`0`, `11`}},
		{path: "challenge.resend_after_s", good: []string{`10`, `300`}, bad: []string{`9`, `301`, `0`}},
		{path: "trust.days", good: []string{`0`, `90`}, bad: []string{`-1`, `91`}},
		{path: "trust.cap", good: []string{`1`, `50`}, bad: []string{`0`, `51`}},
		{path: "trust.rotate", good: []string{`true`, `false`}},
		{path: "recovery.count", good: []string{`0`, `20`}, bad: []string{`-1`, `21`}},
		{path: "recovery.effect", good: []string{`"sign_in"`, `"reset"`, `"reenrol"`}, bad: []string{`"sign-in"`}},
		{path: "sso", good: []string{`"bypass"`, `"ask"`, `"proven"`}, bad: []string{`"never"`}},
		{path: "sso_amr", good: []string{`["mfa"]`, `[]`, `["mfa","hwk"]`}, bad: []string{`[""]`, `["a\u0000"]`}},
		{path: "sso_acr", good: []string{`[]`, `["aal2"]`}, bad: []string{`[""]`}},
		{path: "sso_max_age_s", good: []string{`60`, `86400`}, bad: []string{`59`, `86401`}},
		{path: "risk.high", good: []string{`"ask"`, `"ignore"`}, bad: []string{`"deny"`, `""`}},
		{path: "enrolment_proof", good: []string{`"email"`, `"none"`}, bad: []string{`"sms"`}},
		{path: "webauthn.user_verification", good: []string{`"discouraged"`, `"preferred"`, `"required"`}, bad: []string{`"no"`}},
		{path: "totp.skew", good: []string{`0`, `1`}, bad: []string{`-1`, `2`}},
		{path: "sms.countries", good: []string{`[]`, `["FR","GB"]`, `["AZ","ZA"]`, `["XK"]`}, bad: []string{`["UK"]`, `["XX"]`, `["fr"]`, `["F@"]`, `["F["]`, `["FRA"]`, `[""]`}},
		{path: "sms.daily_cap", good: []string{`0`, `1000000`}, bad: []string{`-1`, `1000001`}},
		{path: "sms.user_daily_cap", good: []string{`0`, `1000`}, bad: []string{`-1`, `1001`}},
		{path: "sms.hourly_prefix_cap", good: []string{`0`, `1000000`}, bad: []string{`-1`, `1000001`}},
		{path: "sms.min_conversion", good: []string{`0`, `100`}, bad: []string{`-1`, `101`}},
		{path: "reset.reason", good: []string{`"required"`}, bad: []string{`"optional"`, `""`}},
		{path: "reset.second_approver", good: []string{`false`, `true`}},
		{path: "reset.hold_s", good: []string{`0`, `604800`}, bad: []string{`-1`, `604801`}},
		{path: "reset.self_service", good: []string{`"off"`, `"approve"`}, bad: []string{`"yes"`, `""`}},
		{path: "notify", good: []string{`[]`, `["desk@acme.example","ops@acme.example"]`}, bad: []string{`["x"]`, `["a@b.example","a@b.example"]`, `["1@a.example","2@a.example","3@a.example","4@a.example","5@a.example","6@a.example"]`}},
		{path: "pass.max_s", good: []string{`0`, `86400`}, bad: []string{`-1`, `86401`}},
		{path: "locale", good: []string{`"en"`, `"fr"`}, bad: []string{`"de"`, `""`}},
	} {
		for _, value := range c.good {
			p := changed(t, c.path, value)
			w.SetPolicy(t, org, "kls", func(policy *mfa.Policy) { *policy = p })
			got, err := w.GetPolicy(t.Context(), w.Client, org)
			if err != nil || !reflect.DeepEqual(got.Policy, p) {
				t.Errorf("%s %s: got %+v, %v, want it as it was put", c.path, value, got.Policy, err)
			}
		}
		version := 0
		if p, err := w.GetPolicy(t.Context(), w.Client, org); err == nil {
			version = p.Version
		}
		for _, value := range c.bad {
			_, err := w.PutPolicy(t.Context(), w.Client, org, mfa.PolicyChange{Policy: changed(t, c.path, value), Version: &version, Acknowledge: true})
			e := mfa.AsError(err)
			if e.Code != mfa.InvalidRequest || e.Param != c.path {
				t.Errorf("%s %s: got %v", c.path, value, err)
			}
		}
		if p, err := w.GetPolicy(t.Context(), w.Client, org); err != nil || p.Version != version {
			t.Errorf("%s: got version %d, %v, want %d", c.path, p.Version, err, version)
		}
	}
}

func TestWhatEveryoneMustDoHasToBePossible(t *testing.T) {
	for _, c := range []struct {
		totp, email string
		possible    bool
	}{
		{mfa.NotAllowed, mfa.Implicit, true}, {mfa.NotAllowed, mfa.Enrolled, true}, {mfa.Allowed, mfa.NotAllowed, true},
		{mfa.NotAllowed, mfa.NotAllowed, false},
	} {
		p := profile(t, "kls")
		p.Methods.TOTP, p.Methods.Email = c.totp, c.email
		err := p.Check()
		if c.possible && err != nil {
			t.Errorf("%+v: %v", c, err)
		} else if !c.possible && wantCode(t, err, mfa.InvalidRequest).Param != "require" {
			t.Errorf("%+v: got %v, want it to name require", c, err)
		}
		p.Require = mfa.Nobody
		if err := p.Check(); err != nil {
			t.Errorf("%+v, of nobody: %v", c, err)
		}
	}
}

func TestAnOrgNeverSeenHasTheDefaultPolicyVersionZero(t *testing.T) {
	w := mfatest.New(t)
	got, err := w.GetPolicy(t.Context(), w.Client, "initech")
	if err != nil || got.Org != "initech" || got.Version != 0 || got.Updated != nil || !reflect.DeepEqual(got.Policy, mfa.DefaultPolicy()) {
		t.Errorf("got %+v, %v", got, err)
	}
	answer, err := w.StartChallenge(t.Context(), w.Client, ana())
	if err != nil || answer.Reason != mfa.NotRequired || answer.PolicyVersion != 0 {
		t.Errorf("got %+v, %v, want not_required under version 0", answer.Decision, err)
	}
}

func TestL10APolicyIsReplacedUnderItsVersionOnly(t *testing.T) {
	w := mfatest.New(t)
	p := profile(t, "kls")
	put := func(version *int) (mfa.OrgPolicy, error) {
		return w.PutPolicy(t.Context(), w.Client, org, mfa.PolicyChange{Policy: p, Version: version})
	}
	_, err := put(nil)
	wantCode(t, err, mfa.PreconditionRequired)
	for _, stale := range []int{1, -1} {
		_, err = put(&stale)
		wantCode(t, err, mfa.VersionMismatch)
	}
	version := 0
	first, err := put(&version)
	if err != nil || first.Version != 1 || !first.Updated.Equal(w.Clock.Now()) {
		t.Fatalf("got %+v, %v, want version 1", first, err)
	}
	_, err = put(&version)
	wantCode(t, err, mfa.VersionMismatch)

	version = 1
	var all sync.WaitGroup
	barrier := make(chan struct{})
	var mu sync.Mutex
	heard := map[mfa.ErrorCode]int{}
	for range 16 {
		all.Go(func() {
			<-barrier
			code := mfa.ErrorCode("")
			if _, err := put(&version); err != nil {
				code = mfa.AsError(err).Code
			}
			mu.Lock()
			defer mu.Unlock()
			heard[code]++
		})
	}
	close(barrier)
	all.Wait()
	if heard[""] != 1 || heard[""]+heard[mfa.VersionMismatch]+heard[mfa.Busy] != 16 {
		t.Errorf("got %v, want one success, the rest version_mismatch", heard)
	}
}

func TestOnlyAnAdminKeyOfThatOrgTouchesAPolicy(t *testing.T) {
	w := mfatest.New(t)
	version := 0
	for name, call := range map[string]mfa.Call{
		"sign_in": w.NewClient(t, apikey.Grant{Client: "app", Scopes: []apikey.Scope{apikey.SignIn, apikey.Manage}}),
		"another": w.NewClient(t, apikey.Grant{Client: "app", Scopes: apikey.Scopes(), Org: "globex"}),
	} {
		_, err := w.GetPolicy(t.Context(), call, org)
		if mfa.AsError(err).Code != mfa.Forbidden {
			t.Errorf("get, %s: got %v", name, err)
		}
		_, err = w.PutPolicy(t.Context(), call, org, mfa.PolicyChange{Policy: mfa.DefaultPolicy(), Version: &version})
		if mfa.AsError(err).Code != mfa.Forbidden {
			t.Errorf("put, %s: got %v", name, err)
		}
	}
}

func TestAChangeThatForcesUsersNeedsAnAcknowledgement(t *testing.T) {
	w := mfatest.New(t)
	people := []mfa.Person{{ID: "u-3"}, {ID: "u-1", Email: mfa.Some(mail)}, {ID: "u-2", Email: mfa.Some("bob@acme.example")}}
	for _, p := range people {
		if _, err := w.PutUser(t.Context(), w.Client, org, p); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.PutUser(t.Context(), w.Client, "globex", mfa.Person{ID: "u-9"}); err != nil {
		t.Fatal(err)
	}
	version := 0
	change := mfa.PolicyChange{Policy: profile(t, "kls"), Version: &version}
	_, err := w.PutPolicy(t.Context(), w.Client, org, change)
	got := wantCode(t, err, mfa.AcknowledgementRequired).Preview
	if got == nil || got.Users != 3 || got.WithoutFactor != 1 || got.MustEnrol != 1 || got.SignedOut != 0 || got.LosingOnlyKind != 0 ||
		!slices.Equal(got.Sample, []string{"u-1", "u-2", "u-3"}) {
		t.Errorf("got preview %+v", got)
	}
	if p, err := w.GetPolicy(t.Context(), w.Client, org); err != nil || p.Version != 0 {
		t.Errorf("got %+v, %v, want nothing changed", p, err)
	}
	change.Acknowledge = true
	if _, err := w.PutPolicy(t.Context(), w.Client, org, change); err != nil {
		t.Fatal(err)
	}
	version, change.Acknowledge = 1, false
	change.Policy.Trust.Days = 7
	if _, err := w.PutPolicy(t.Context(), w.Client, org, change); err != nil {
		t.Errorf("a change that forces nobody anew: %v", err)
	}
	version = 0
	if _, err := w.PutPolicy(t.Context(), w.Client, "initech", change); err != nil {
		t.Errorf("an org without users: %v", err)
	}
}

func TestAPreviewCountsAnAddressThatWasCleared(t *testing.T) {
	w := mfatest.New(t)
	for _, said := range []mfa.Optional[string]{mfa.Some(mail), {Set: true}, mfa.Some(mail), {Set: true}} {
		if _, err := w.PutUser(t.Context(), w.Client, org, mfa.Person{ID: user, Email: said}); err != nil {
			t.Fatal(err)
		}
	}
	version := 0
	_, err := w.PutPolicy(t.Context(), w.Client, org, mfa.PolicyChange{Policy: profile(t, "kls"), Version: &version})
	if got := wantCode(t, err, mfa.AcknowledgementRequired).Preview; got.Users != 1 || got.WithoutFactor != 1 {
		t.Errorf("got %+v, want one user without a factor", got)
	}
}

func TestASampleOfAPreviewIsBounded(t *testing.T) {
	w := mfatest.New(t)
	for i := range 60 {
		if _, err := w.PutUser(t.Context(), w.Client, org, mfa.Person{ID: fmt.Sprintf("u-%03d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	version := 0
	_, err := w.PutPolicy(t.Context(), w.Client, org, mfa.PolicyChange{Policy: profile(t, "kls"), Version: &version})
	got := wantCode(t, err, mfa.AcknowledgementRequired).Preview
	if got.Users != 60 || got.WithoutFactor != 60 || got.MustEnrol != 60 || len(got.Sample) != 20 || !slices.IsSorted(got.Sample) {
		t.Errorf("got %+v, want 60 users and a sample of 20", got)
	}
}

func TestEveryVersionOfAPolicyIsKept(t *testing.T) {
	w := mfatest.New(t)
	for days := range 3 {
		w.SetPolicy(t, org, "kls", func(p *mfa.Policy) { p.Trust.Days = days })
		w.Clock.Advance(time.Hour)
	}
	sum := sha256.Sum256(seal.Join(org))
	partition := "org#" + base64.RawURLEncoding.EncodeToString(sum[:16])
	for version := 1; version <= 3; version++ {
		item, err := store.GetOne(t.Context(), w.Store, store.Key{Partition: partition, Sort: fmt.Sprintf("policy#%010d", version)})
		if err != nil {
			t.Fatal(err)
		}
		var kept struct {
			Format, Version int
			Org             string
			Policy          struct{ Trust struct{ Days int } }
		}
		if look(t, item, &kept); kept.Format != 1 || kept.Version != version || kept.Org != org || kept.Policy.Trust.Days != version-1 {
			t.Errorf("version %d: got %+v", version, kept)
		}
	}
	got := events(t, w, mfa.PolicyChanged)
	if len(got) != 3 || got[1].PolicyVersion != 2 || fmt.Sprint(got[1].Data["changed"]) != "[trust]" || got[0].Org != org || got[0].Actor.ID != "app" {
		t.Errorf("got events %+v", got)
	}
}

func TestK7ASignInThroughSSOIsDecidedPerSignIn(t *testing.T) {
	w := kls(t, nil)
	q := ana()
	q.FirstFactor.Kind = "sso"
	for _, c := range []struct{ kind, want string }{{"sso", mfa.SSO}, {"password", mfa.NewBrowser}, {"other", mfa.NewBrowser}, {"sso", mfa.SSO}} {
		q.FirstFactor.Kind = c.kind
		if answer, err := w.StartChallenge(t.Context(), w.Client, q); err != nil || answer.Reason != c.want {
			t.Errorf("%s: got %+v, %v, want %s", c.kind, answer.Decision, err, c.want)
		}
	}
	w.SetPolicy(t, org, "kls", func(p *mfa.Policy) { p.SSO = "ask" })
	q.FirstFactor.Kind = "sso"
	if answer, err := w.StartChallenge(t.Context(), w.Client, q); err != nil || answer.Reason != mfa.NewBrowser {
		t.Errorf("sso is asked: got %+v, %v", answer.Decision, err)
	}
}
