package mfa_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
)

const day = 24 * time.Hour

// trusted signs ana in, trusts her browser, and returns the trust token.
func trusted(t *testing.T, w *mfatest.World) seal.Secret {
	t.Helper()
	answer, err := verify(t, w, started(t, w, ana()).ID, w.Outbox.Code(t, mail), true)
	if err != nil || answer.TrustToken == nil {
		t.Fatalf("got %+v, %v, want a trust token", answer, err)
	}
	return *answer.TrustToken
}

func with(token seal.Secret) mfa.StartRequest {
	q := ana()
	q.TrustToken = token
	return q
}

// start signs in with a trust token. It returns the reason of the decision, and the successor of the token if there is one.
func start(t *testing.T, w *mfatest.World, token seal.Secret) (reason string, successor *seal.Secret) {
	t.Helper()
	answer, err := w.StartChallenge(t.Context(), w.Client, with(token))
	if err != nil {
		t.Fatal(err)
	}
	if (answer.Decision.Decision == mfa.Allow) != (answer.Reason == mfa.BrowserTrust) {
		t.Fatalf("got %+v", answer.Decision)
	}
	return answer.Reason, answer.TrustToken
}

// wantReason fails the test unless a decision has this reason. A decision has no effect.
func wantReason(t *testing.T, w *mfatest.World, token seal.Secret, want string) {
	t.Helper()
	got, err := w.Decide(t.Context(), w.Client, with(token))
	if err != nil || got.Reason != want {
		t.Errorf("got %s, %v, want %s", got.Reason, err, want)
	}
}

// used signs in with a trust token, which must be accepted, and returns its successor.
func used(t *testing.T, w *mfatest.World, token seal.Secret) seal.Secret {
	t.Helper()
	reason, successor := start(t, w, token)
	if reason != mfa.BrowserTrust || successor == nil {
		t.Fatalf("got %s, want trusted_browser and a successor", reason)
	}
	return *successor
}

func browsers(t *testing.T, w *mfatest.World) []mfa.TrustedBrowser {
	t.Helper()
	u, err := w.GetUser(t.Context(), w.Client, org, user)
	if err != nil {
		t.Fatal(err)
	}
	return u.TrustedBrowsers
}

func TestK3AndK5TrustEndsThirtyDaysAfterItWasGrantedAndDoesNotSlide(t *testing.T) {
	w := kls(t, nil)
	token := trusted(t, w)
	end := w.Clock.Now().Add(30 * day)
	for range 29 {
		w.Clock.Advance(day)
		token = used(t, w, token)
		if got := browsers(t, w); len(got) != 1 || !got[0].Expires.Equal(end) || !got[0].LastUsed.Equal(w.Clock.Now()) {
			t.Fatalf("got %+v, want one that ends at %v", got, end)
		}
	}
	w.Clock.Advance(day - time.Second)
	token = used(t, w, token)
	w.Clock.Advance(time.Second)
	if reason, successor := start(t, w, token); reason != mfa.TrustExpired || successor != nil {
		t.Errorf("30 days after the grant: got %s, want trust_expired", reason)
	}
	if got := browsers(t, w); len(got) != 0 {
		t.Errorf("got %+v, want none", got)
	}
}

func TestTrustExpiredIsSaidForThirtyDays(t *testing.T) {
	w := kls(t, nil)
	token := trusted(t, w)
	w.Clock.Advance(60*day - time.Second)
	wantReason(t, w, token, mfa.TrustExpired)
	w.Clock.Advance(time.Second)
	wantReason(t, w, token, mfa.NewBrowser)

	token = trusted(t, w)
	w.SetPolicy(t, org, "kls", func(p *mfa.Policy) { p.Trust.Days = 5 })
	w.Clock.Advance(35*day - time.Second)
	wantReason(t, w, token, mfa.TrustExpired)
	w.Clock.Advance(time.Second)
	wantReason(t, w, token, mfa.NewBrowser)
}

func TestK4TrustIsGivenOnlyWhereItWasChosen(t *testing.T) {
	w := kls(t, nil)
	ch := started(t, w, ana())
	if ch.Trust == nil || ch.Trust.Days != 30 {
		t.Errorf("got offer %+v, want 30 days", ch.Trust)
	}
	answer, err := verify(t, w, ch.ID, w.Outbox.Code(t, mail), false)
	if err != nil || answer.TrustToken != nil || answer.TrustedBrowser != nil || len(browsers(t, w)) != 0 {
		t.Errorf("got %+v, %v, want no trust", answer, err)
	}
	trusted(t, w)
	if got := browsers(t, w); len(got) != 1 || got[0].Name != "Firefox" || got[0].ID[:3] != "tb_" {
		t.Errorf("got %+v, want one browser", got)
	}
	if got := events(t, w, mfa.BrowserTrusted); len(got) != 1 || got[0].Data["browser"] != browsers(t, w)[0].ID {
		t.Errorf("got events %+v, want one browser.trusted", got)
	}
}

func TestANameOfABrowserThatIsTooLongIsRefused(t *testing.T) {
	w := kls(t, nil)
	ch := started(t, w, ana())
	for _, name := range []string{string(make([]byte, 5)), "a\nb", string(slices.Repeat([]byte("a"), 101)), "\xff"} {
		_, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ch.ID, Answer: mfa.Answer{Code: w.Outbox.Code(t, mail)}, Trust: &mfa.TrustChoice{Name: name}})
		if e := wantCode(t, err, mfa.InvalidRequest); e.Param != "trust.name" {
			t.Errorf("got param %q", e.Param)
		}
	}
	if _, err := verify(t, w, ch.ID, w.Outbox.Code(t, mail), false); err != nil {
		t.Error(err)
	}
}

func TestK6AndTB1AndTB7TrustBelongsToOneUserInOneOrg(t *testing.T) {
	w := kls(t, nil)
	w.SetPolicy(t, "globex", "kls", nil)
	token := trusted(t, w)
	another, elsewhere, stepUp := with(token), with(token), with(token)
	another.User.ID, elsewhere.Org, stepUp.Purpose = "u-18", "globex", mfa.StepUp
	for name, c := range map[string]struct {
		q    mfa.StartRequest
		want string
	}{
		"another user": {another, mfa.NewBrowser}, "T7: the same id in another org": {elsewhere, mfa.NewBrowser}, "a step-up": {stepUp, mfa.StepUpDemanded},
	} {
		answer, err := w.StartChallenge(t.Context(), w.Client, c.q)
		if err != nil || answer.Reason != c.want || answer.TrustToken != nil {
			t.Errorf("%s: got %+v, %v, want %s", name, answer, err, c.want)
		}
	}
	used(t, w, token)
}

func TestTB2AndTB3ATokenAlteredAnywhereIsWorthNothing(t *testing.T) {
	w := kls(t, nil)
	text := trusted(t, w).Reveal()
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	tried := 0
	try := func(altered string) {
		t.Helper()
		tried++
		wantReason(t, w, seal.NewSecret(altered), mfa.NewBrowser)
	}
	for i := range len(text) {
		for _, c := range []byte{letters[(slices.Index([]byte(letters), text[i])+1)%64], text[i] ^ 0x20, 'A', '=', '+', '/', '\n', 0, 0xff} {
			if c != text[i] {
				try(text[:i] + string([]byte{c}) + text[i+1:])
			}
		}
		try(text[:i])
		try(text[:i] + text[i+1:])
		try(text[:i] + "A" + text[i:])
	}
	for _, end := range []string{"A", "=", "==", "\n", " ", ".", text} {
		try(text + end)
		try(end + text)
	}
	if tried < 900 {
		t.Errorf("tried %d", tried)
	}
	used(t, w, seal.NewSecret(text))
}

func TestATokenRotatesAndALostAnswerCostsNothing(t *testing.T) {
	w := kls(t, nil)
	first := trusted(t, w)
	second := used(t, w, first)
	if second.Equal(first) {
		t.Fatal("got the same token again")
	}
	for range 3 {
		w.Clock.Advance(time.Hour)
		if again := used(t, w, first); !again.Equal(second) {
			t.Fatal("the superseded token gave another successor")
		}
	}
	third := used(t, w, second)
	if third.Equal(second) || third.Equal(first) {
		t.Fatal("got an old token again")
	}
	if again := used(t, w, second); !again.Equal(third) {
		t.Fatal("the superseded token gave another successor")
	}
	if got := events(t, w, mfa.BrowserTheft); len(got) != 0 {
		t.Errorf("got %+v, want no theft", got)
	}
}

func TestASupersededTokenUsedAfterItsSuccessorWasKillsTheLine(t *testing.T) {
	w := kls(t, nil)
	first := trusted(t, w)
	second := used(t, w, first)
	third := used(t, w, second)
	other := trusted(t, w) // another browser of the same user
	emails := len(w.Outbox.To(mail))
	if reason, successor := start(t, w, first); reason != mfa.NewBrowser || successor != nil {
		t.Fatalf("the stolen token: got %s, want new_browser", reason)
	}
	for name, token := range map[string]seal.Secret{"first": first, "second": second, "third": third} {
		if reason, _ := start(t, w, token); reason != mfa.NewBrowser {
			t.Errorf("the %s token: got %s, want new_browser", name, reason)
		}
	}
	thefts := events(t, w, mfa.BrowserTheft)
	if len(thefts) != 1 || thefts[0].User != user || thefts[0].Actor.Kind != "service" {
		t.Errorf("got %+v, want one browser.theft_suspected", thefts)
	}
	if got := len(w.Outbox.To(mail)); got != emails+5 { // four codes and one notice
		t.Errorf("got %d more emails, want 5", got-emails)
	}
	used(t, w, other)
}

func TestADecisionIsWithoutAnyEffectOnTrust(t *testing.T) {
	w := kls(t, nil)
	first := trusted(t, w)
	wantReason(t, w, first, mfa.BrowserTrust)
	second := used(t, w, first)
	wantReason(t, w, first, mfa.BrowserTrust)
	third := used(t, w, second)
	wantReason(t, w, first, mfa.NewBrowser)
	used(t, w, third) // a decision reports no theft
	if got := events(t, w, mfa.BrowserTheft); len(got) != 0 {
		t.Errorf("got %+v, want no theft", got)
	}
}

func TestWithoutRotationATokenStaysTheSame(t *testing.T) {
	w := kls(t, func(p *mfa.Policy) { p.Trust.Rotate = false })
	token := trusted(t, w)
	for range 3 {
		if reason, successor := start(t, w, token); reason != mfa.BrowserTrust || successor != nil {
			t.Fatalf("got %s, %v, want trusted_browser without a successor", reason, successor)
		}
	}
	w.SetPolicy(t, org, "kls", nil)
	if used(t, w, token).Equal(token) {
		t.Error("rotation turned on: got the same token")
	}
}

// The oldest browser is the one that was trusted first, even if it was used last.
func TestTheCapEndsTheOldestBrowser(t *testing.T) {
	for name, c := range map[string]struct{ before, after, ended int }{
		"one more than the cap": {before: 3, after: 3, ended: 1},
		"a cap that fell":       {before: 5, after: 3, ended: 3},
		"a cap that fell to 1":  {before: 3, after: 1, ended: 3},
	} {
		t.Run(name, func(t *testing.T) {
			w := kls(t, func(p *mfa.Policy) { p.Trust.Cap = c.before })
			tokens := []seal.Secret{}
			for range c.before {
				tokens = append(tokens, trusted(t, w))
				w.Clock.Advance(10 * time.Minute)
			}
			for i := range tokens { // the browser that was trusted first is used last
				at := len(tokens) - 1 - i
				tokens[at] = used(t, w, tokens[at])
				w.Clock.Advance(10 * time.Minute)
			}
			w.SetPolicy(t, org, "kls", func(p *mfa.Policy) { p.Trust.Cap = c.after })
			tokens = append(tokens, trusted(t, w))
			if got := len(browsers(t, w)); got != c.after {
				t.Errorf("got %d browsers, want %d", got, c.after)
			}
			for i, token := range tokens {
				want := mfa.BrowserTrust
				if i < c.ended {
					want = mfa.NewBrowser
				}
				wantReason(t, w, token, want)
			}
			revoked := events(t, w, mfa.BrowserRevoked)
			if len(revoked) != c.ended || revoked[0].Data["cause"] != "cap" {
				t.Errorf("got %+v, want %d revoked by the cap", revoked, c.ended)
			}
		})
	}
}

func TestACapThatFellFarIsKeptToAfterSomeGrants(t *testing.T) {
	w := kls(t, func(p *mfa.Policy) { p.Trust.Cap = 50 })
	for range 20 {
		trusted(t, w)
		w.Clock.Advance(time.Hour)
	}
	w.SetPolicy(t, org, "kls", func(p *mfa.Policy) { p.Trust.Cap = 1 })
	trusted(t, w)
	w.Clock.Advance(time.Hour)
	last := trusted(t, w)
	if got := browsers(t, w); len(got) != 1 {
		t.Errorf("got %d browsers, want 1", len(got))
	}
	used(t, w, last)
}

func TestFewerDaysShortenEveryEndAndMoreNeverRevive(t *testing.T) {
	w := kls(t, nil)
	granted := w.Clock.Now()
	token := trusted(t, w)
	w.SetPolicy(t, org, "kls", func(p *mfa.Policy) { p.Trust.Days = 5 })
	shortened := trusted(t, w) // trusted under the shorter policy
	for _, b := range browsers(t, w) {
		if !b.Expires.Equal(granted.Add(5 * day)) {
			t.Errorf("got an end at %v, want %v", b.Expires, granted.Add(5*day))
		}
	}
	w.SetPolicy(t, org, "kls", func(p *mfa.Policy) { p.Trust.Days = 10 })
	w.SetPolicy(t, org, "kls", func(p *mfa.Policy) { p.Trust.Days = 90 })
	w.Clock.Advance(5*day - time.Second)
	wantReason(t, w, token, mfa.BrowserTrust)
	wantReason(t, w, shortened, mfa.BrowserTrust)
	w.Clock.Advance(time.Second)
	wantReason(t, w, token, mfa.TrustExpired)
	wantReason(t, w, shortened, mfa.TrustExpired)
	w.SetPolicy(t, org, "kls", nil)
	wantReason(t, w, token, mfa.TrustExpired)
	long := trusted(t, w)
	w.Clock.Advance(29 * day)
	wantReason(t, w, long, mfa.BrowserTrust)
}

func TestSeveralTighteningsEachCount(t *testing.T) {
	w := kls(t, nil)
	old := trusted(t, w)
	days := func(n int) { w.SetPolicy(t, org, "kls", func(p *mfa.Policy) { p.Trust.Days = n }) }
	days(3)
	days(20)
	newer := trusted(t, w)
	days(10)
	days(30)
	w.Clock.Advance(3 * day)
	wantReason(t, w, old, mfa.TrustExpired)
	w.Clock.Advance(7*day - time.Second)
	wantReason(t, w, newer, mfa.BrowserTrust)
	w.Clock.Advance(time.Second)
	wantReason(t, w, newer, mfa.TrustExpired)
}

func TestZeroDaysEndAllTrustForGood(t *testing.T) {
	w := kls(t, nil)
	token := trusted(t, w)
	w.SetPolicy(t, org, "kls", func(p *mfa.Policy) { p.Trust.Days = 0 })
	wantReason(t, w, token, mfa.Required)
	if got := browsers(t, w); len(got) != 0 {
		t.Errorf("got %+v, want none", got)
	}
	ch := started(t, w, ana())
	if ch.Trust != nil {
		t.Error("got an offer of trust")
	}
	answer, err := verify(t, w, ch.ID, w.Outbox.Code(t, mail), true)
	if err != nil || answer.TrustToken != nil {
		t.Errorf("got %+v, %v, want no trust", answer, err)
	}
	w.SetPolicy(t, org, "kls", nil)
	if d, err := w.Decide(t.Context(), w.Client, with(token)); err != nil || d.Decision != mfa.Challenge {
		t.Errorf("trust allowed again: got %+v, %v, want a challenge", d, err)
	}
	if got := browsers(t, w); len(got) != 0 {
		t.Errorf("got %+v, want none", got)
	}
}

func TestForbiddingTheKindThatEarnedItEndsTrustForGood(t *testing.T) {
	w := kls(t, nil)
	token := trusted(t, w)
	w.SetPolicy(t, org, "kls", func(p *mfa.Policy) { p.Methods.TOTP = mfa.Allowed })
	w.SetPolicy(t, org, "kls", nil) // forbids another kind again, which doesn't affect this browser
	wantReason(t, w, token, mfa.BrowserTrust)
	w.SetPolicy(t, org, "kls", func(p *mfa.Policy) { p.Methods.Email, p.Require = mfa.NotAllowed, mfa.Nobody })
	if got := browsers(t, w); len(got) != 0 {
		t.Errorf("got %+v, want none", got)
	}
	w.SetPolicy(t, org, "kls", nil)
	wantReason(t, w, token, mfa.NewBrowser)
	used(t, w, trusted(t, w))
	wantReason(t, w, token, mfa.NewBrowser)
}

func TestAChangedContactEndsTrust(t *testing.T) {
	for name, change := range map[string]mfa.Person{
		"email": {ID: user, Email: mfa.Some("ana@other.example")},
		"phone": {ID: user, Phone: mfa.Some("+33687654321")},
	} {
		w := kls(t, nil)
		if _, err := w.PutUser(t.Context(), w.Client, org, mfa.Person{ID: user, Phone: mfa.Some("+33612345678")}); err != nil {
			t.Fatal(err)
		}
		token := trusted(t, w)
		trusted(t, w)
		if _, err := w.PutUser(t.Context(), w.Client, org, change); err != nil {
			t.Fatal(err)
		}
		if got := browsers(t, w); len(got) != 0 {
			t.Errorf("%s: got %+v, want none", name, got)
		}
		q := mfa.StartRequest{Org: org, User: mfa.Person{ID: user}, TrustToken: token}
		if d, err := w.Decide(t.Context(), w.Client, q); err != nil || d.Reason != mfa.NewBrowser {
			t.Errorf("%s: got %+v, %v, want new_browser", name, d, err)
		}
		revoked := events(t, w, mfa.BrowserRevoked)
		if len(revoked) != 2 || revoked[0].Data["cause"] != name+"_changed" {
			t.Errorf("%s: got %+v, want two revoked", name, revoked)
		}
	}
}

func TestAContactChangedAtAStartEndsTrustInThatVeryStart(t *testing.T) {
	w := kls(t, nil)
	q := with(trusted(t, w))
	q.User.Email = mfa.Some("ana@other.example")
	answer, err := w.StartChallenge(t.Context(), w.Client, q)
	if err != nil || answer.Reason != mfa.NewBrowser {
		t.Errorf("got %+v, %v, want new_browser", answer.Decision, err)
	}
	wantReason(t, w, q.TrustToken, mfa.NewBrowser)
}

func TestParallelStartsWithOneTokenNeverKillTheLine(t *testing.T) {
	w := kls(t, nil)
	token := trusted(t, w)
	for range 3 {
		var successors [64]*seal.Secret
		var all sync.WaitGroup
		barrier := make(chan struct{})
		for i := range successors {
			all.Go(func() {
				<-barrier
				answer, err := w.StartChallenge(t.Context(), w.Client, with(token))
				if err != nil || answer.Reason != mfa.BrowserTrust {
					t.Errorf("got %+v, %v, want trusted_browser", answer.Decision, err)
				}
				successors[i] = answer.TrustToken
			})
		}
		close(barrier)
		all.Wait()
		for _, s := range successors {
			if s == nil || !s.Equal(*successors[0]) {
				t.Fatal("got different successors")
			}
		}
		token = *successors[0]
	}
	if got := events(t, w, mfa.BrowserTheft); len(got) != 0 {
		t.Errorf("got %+v, want no theft", got)
	}
}
