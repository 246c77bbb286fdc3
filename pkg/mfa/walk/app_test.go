package walk

import (
	"context"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
)

// userApp is a user's authenticator app.
type userApp struct {
	*mfatest.Authenticator
	user, id string
	set      time.Time // the beginning of step 0
}

// code returns what the app shows n steps after set.
func (x *userApp) code(n int) seal.Secret { return x.Code(x.set.Add(time.Duration(n) * mfatest.Step)) }

// stepOf returns the number of the step n steps after set (RFC 6238).
func (x *userApp) stepOf(n int) int64 {
	return x.set.Add(time.Duration(n)*mfatest.Step).Unix() / int64(mfatest.Step/time.Second)
}

// wrong returns a code that the app doesn't show within three steps of set.
func (x *userApp) wrong() seal.Secret {
	code := mfatest.Wrong(x.code(0))
	for n := -3; n <= 3; n++ {
		if code.Equal(x.code(n)) {
			code, n = mfatest.Wrong(mfatest.Wrong(code)), -4
		}
	}
	return code
}

// clear reports whether the app's codes near set all differ. By chance, two can be equal.
func (x *userApp) clear() bool {
	shown := map[string]bool{}
	for n := -3; n <= 3; n++ {
		shown[x.code(n).Reveal()] = true
	}
	return len(shown) == 7
}

// within reports whether a policy with a skew of one step accepts the code of a step at that moment.
func within(at time.Time, step int64) bool {
	now := at.Unix() / int64(mfatest.Step/time.Second)
	return step >= now-1 && step <= now+1
}

// An underWay is an enrolment that waits for its first code.
type underWay struct {
	user, id  string
	until     time.Time
	by        mfa.Call
	challenge string // the challenge that its finish answers
	before    bool   // it was begun before the calls
	app       *userApp
	replaces  bool // its finish replaces all factors of the user
}

// app enrols an authenticator app before the calls, and moves the clock on to the app's next step.
func (p *props) app(user string, call mfa.Call) *userApp {
	p.Helper()
	x, en := p.appUnderWay(user, call, mfa.EnrolRequest{Org: "acme", User: directory(user), Kind: mfa.TOTP})
	p.enrolled(x, en)
	return x
}

// appUnderWay begins the enrolment of an app before the calls.
func (p *props) appUnderWay(user string, call mfa.Call, q mfa.EnrolRequest) (*userApp, underWay) {
	p.Helper()
	begun, err := p.BeginEnrolment(context.Background(), call, q)
	if err != nil {
		p.Fatal(err)
	}
	app, err := mfatest.NewAuthenticator(begun.TOTP.URI.Reveal())
	if err != nil {
		p.Fatal(err)
	}
	x := &userApp{Authenticator: app, user: user, set: p.Clock.Now()}
	if !x.clear() {
		return p.appUnderWay(user, call, q)
	}
	return x, underWay{user: user, id: begun.ID, until: *begun.Expires, by: p.Client, before: true, app: x}
}

// enrolled finishes the enrolment of an app before the calls, and moves the clock on to the app's next step.
func (p *props) enrolled(x *userApp, en underWay) {
	p.Helper()
	done, err := p.FinishEnrolment(context.Background(), en.by, mfa.FinishRequest{Enrolment: en.id, Answer: mfa.Answer{Code: x.code(0)}})
	if err != nil {
		p.Fatal(err)
	}
	x.id = done.Factor.ID
	if len(done.RecoveryCodes) > 0 {
		p.shown = done.RecoveryCodes
	}
	p.Clock.Advance(mfatest.Step)
	x.set = p.Clock.Now()
	p.apps = append(p.apps, x)
}

// answer answers a challenge with the right code before the calls, and moves the clock on to the app's next step.
func (p *props) answer(o opened, x *userApp, trust *mfa.TrustChoice) mfa.VerifyAnswer {
	p.Helper()
	answer := p.answerNow(o, x, trust)
	p.Clock.Advance(mfatest.Step)
	x.set = p.Clock.Now()
	return answer
}

func (p *props) answerNow(o opened, x *userApp, trust *mfa.TrustChoice) mfa.VerifyAnswer {
	p.Helper()
	answer, err := p.Verify(context.Background(), p.Client, mfa.VerifyRequest{Challenge: o.id, Factor: x.id, Answer: mfa.Answer{Code: x.code(0)}, Trust: trust})
	if err != nil {
		p.Fatal(err)
	}
	p.spent[o.id]++
	p.spent[o.user]++
	return answer
}

// prove lets the user step up with the app, and returns a fresh call with the proof. It moves the clock on to the app's next
// step.
func (p *props) prove(x *userApp) mfa.Call {
	p.Helper()
	answer := p.answer(p.ask(x.user, mfa.StepUp), x, nil)
	call := p.Fresh()
	call.Proof = answer.Token
	return call
}

// trustBy signs a user in with the app, trusts the browser, and returns the trust token.
func (p *props) trustBy(x *userApp) seal.Secret {
	p.Helper()
	token := *p.answer(p.ask(x.user, mfa.SignIn), x, &mfa.TrustChoice{Name: "Firefox"}).TrustToken
	p.tokens = append(p.tokens, token)
	return token
}

// mistake gives wrong codes before the calls, each to a new challenge.
func (p *props) mistake(x *userApp, times int) {
	p.Helper()
	p.mistakeIn(x, seal.Secret{}, times)
}

// mistakeIn is mistake in a browser that holds a known token.
func (p *props) mistakeIn(x *userApp, known seal.Secret, times int) {
	p.Helper()
	for range times {
		o := p.askIn(x.user, mfa.SignIn, known)
		_, err := p.Verify(context.Background(), p.Client, mfa.VerifyRequest{Challenge: o.id, Answer: mfa.Answer{Code: x.wrong()}})
		if mfa.AsError(err).Code != mfa.WrongCode {
			p.Fatal(err)
		}
		p.spent[o.id]++
		p.spent[o.user]++
	}
}
