package mfa_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
	"countersign/pkg/store/fault"
)

// An outcome is what a call told its caller. It must be true afterwards.
type outcome struct {
	err    error
	in     bool          // the caller was let in, or got something that lets them in
	codes  []seal.Secret // recovery codes that were shown
	enrol  *seal.Secret  // an enrolment token
	factor string        // the id of a factor that is enrolled now
}

// enrolSteps are the calls of enrolments and recovery. Each prepares a world for its call, and returns the call.
func enrolSteps() map[string]func(t *testing.T, w *mfatest.World) func() outcome {
	said := ana().User
	finishing := func(change func(seal.Secret) seal.Secret) func(t *testing.T, w *mfatest.World) func() outcome {
		return func(t *testing.T, w *mfatest.World) func() outcome {
			begun := begin(t, w, w.Fresh(), mfa.Email)
			code := change(w.Outbox.Code(t, mail))
			return func() outcome {
				done, err := finish(t, w, w.Client, begun.ID, code)
				return outcome{err: err, codes: done.RecoveryCodes, factor: done.Factor.ID}
			}
		}
	}
	forced := func(t *testing.T, w *mfatest.World) mfa.Call {
		w.SetPolicy(t, org, "default", everyone)
		_, call := mustEnrol(t, w, ana())
		return call
	}
	recover := func(effect, require string, wrong bool) func(t *testing.T, w *mfatest.World) func() outcome {
		return func(t *testing.T, w *mfatest.World) func() outcome {
			codes := w.EnrolEmail(t, w.Fresh(), org, said, mail).RecoveryCodes
			w.SetPolicy(t, org, "default", func(p *mfa.Policy) { p.Recovery.Effect, p.Require = effect, require })
			ch := started(t, w, ana())
			code := codes[3]
			if wrong {
				code = wrongRecovery()
			}
			return func() outcome {
				answer, err := w.Recover(t.Context(), w.Client, mfa.RecoverRequest{Challenge: ch.ID, Code: code})
				said := outcome{err: err, in: answer.Token != nil || answer.Verified}
				if answer.Enrolment != nil {
					said.enrol = answer.Enrolment.Token
				}
				return said
			}
		}
	}
	right := func(code seal.Secret) seal.Secret { return code }
	return map[string]func(t *testing.T, w *mfatest.World) func() outcome{
		"begin": func(t *testing.T, w *mfatest.World) func() outcome {
			return func() outcome {
				_, err := w.BeginEnrolment(t.Context(), w.Fresh(), mfa.EnrolRequest{Org: org, User: &said, Kind: mfa.Email})
				return outcome{err: err}
			}
		},
		"begin, to prove": func(t *testing.T, w *mfatest.World) func() outcome {
			call := forced(t, w)
			return func() outcome {
				w.Clock.Advance(30 * time.Second)
				_, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.TOTP})
				return outcome{err: err}
			}
		},
		"send": func(t *testing.T, w *mfatest.World) func() outcome {
			begun := begin(t, w, w.Fresh(), mfa.Email)
			return func() outcome {
				w.Clock.Advance(30 * time.Second)
				_, err := w.SendEnrolment(t.Context(), w.Client, begun.ID)
				return outcome{err: err}
			}
		},
		"prove": func(t *testing.T, w *mfatest.World) func() outcome {
			call := forced(t, w)
			proving(t, w, call)
			return func() outcome {
				_, err := prove(t, w, call, w.Outbox.Code(t, mail))
				return outcome{err: err}
			}
		},
		"prove, wrong": func(t *testing.T, w *mfatest.World) func() outcome {
			call := forced(t, w)
			proving(t, w, call)
			return func() outcome {
				_, err := prove(t, w, call, mfatest.Wrong(w.Outbox.Code(t, mail)))
				return outcome{err: err}
			}
		},
		"finish":        finishing(right),
		"finish, wrong": finishing(mfatest.Wrong),
		"finish, to sign in": func(t *testing.T, w *mfatest.World) func() outcome {
			call := forced(t, w)
			begun, err := w.BeginEnrolment(t.Context(), call, mfa.EnrolRequest{Kind: mfa.Email})
			if err != nil {
				t.Fatal(err)
			}
			return func() outcome {
				done, err := finish(t, w, call, begun.ID, w.Outbox.Code(t, mail))
				return outcome{err: err, in: done.Token != nil, codes: done.RecoveryCodes, factor: done.Factor.ID}
			}
		},
		"recover":                      recover(mfa.EffectSignIn, mfa.Nobody, false),
		"recover, wrong":               recover(mfa.EffectSignIn, mfa.Nobody, true),
		"recover, reset":               recover(mfa.EffectReset, mfa.Nobody, false),
		"recover, reset and required":  recover(mfa.EffectReset, mfa.Everyone, false),
		"recover, reenrol":             recover(mfa.EffectReenrol, mfa.Nobody, false),
		"recover, reenrol, wrong code": recover(mfa.EffectReenrol, mfa.Nobody, true),
		"new codes": func(t *testing.T, w *mfatest.World) func() outcome {
			w.EnrolEmail(t, w.Fresh(), org, said, mail)
			call := steppedUpByMail(t, w)
			return func() outcome {
				made, err := w.NewRecoveryCodes(t.Context(), call, org, user)
				return outcome{err: err, codes: made.RecoveryCodes}
			}
		},
	}
}

func wrongStep(name string) bool { return strings.Contains(name, "wrong") }

// wantTold fails the test unless the call did its work and told the truth about it.
func wantTold(t *testing.T, w *mfatest.World, name string, said outcome) {
	t.Helper()
	if wrongStep(name) {
		if mfa.AsError(said.err).Code != mfa.WrongCode || *mfa.AsError(said.err).AttemptsLeft != 4 {
			t.Errorf("%s: got %v, want wrong_code with 4 left", name, said.err)
		}
		if got := len(events(t, w, mfa.ChallengeFailed)); got != 1 {
			t.Errorf("%s: got %d counted, want 1", name, got)
		}
		return
	}
	if said.err != nil {
		t.Errorf("%s: %v", name, said.err)
		return
	}
	if said.factor != "" && (len(shown(t, w).Factors) != 1 || shown(t, w).Factors[0].ID != said.factor) {
		t.Errorf("%s: got %+v, want the factor %s", name, shown(t, w).Factors, said.factor)
	}
	if said.enrol != nil {
		if _, err := w.BeginEnrolment(t.Context(), mfa.Call{Bearer: said.enrol.Reveal()}, mfa.EnrolRequest{Kind: mfa.Email}); err != nil {
			t.Errorf("%s: its enrolment token: %v", name, err)
		}
	}
	w.Clock.Advance(time.Hour) // until the limits of sending no longer apply
	for i, code := range said.codes {
		if _, err := recovering(t, w, code); err != nil {
			t.Errorf("%s: the recovery code %d: %v", name, i, err)
		}
		if i == 2 {
			break
		}
	}
	if (said.factor != "" || name == "new codes") && len(said.codes) != 10 {
		t.Errorf("%s: got %d recovery codes, want 10", name, len(said.codes))
	}
}

func TestI7WhereTheStoreFailsNothingIsEnrolledAndTheNextTryWorks(t *testing.T) {
	for name, prepare := range enrolSteps() {
		failed := 0
		for _, method := range []fault.Method{fault.Get, fault.Query, fault.Commit} {
			for pass := 0; ; pass++ {
				w := plain(t, nil)
				step := prepare(t, w)
				failLater(w, method, pass)
				said := step()
				w.Faults.Clear()
				if said.err == nil || wrongStep(name) && mfa.AsError(said.err).Code == mfa.WrongCode {
					break // the step makes no further calls of this method
				}
				failed++
				if wantCode(t, said.err, mfa.Unavailable); said.in || said.codes != nil || said.enrol != nil || !errors.Is(said.err, fault.Err) {
					t.Errorf("%s, %s %d fails: got %+v", name, method, pass, said)
				}
				if method == fault.Commit {
					wantTold(t, w, name, step())
				}
			}
		}
		if failed == 0 {
			t.Errorf("%s: no call failed: the test is about nothing", name)
		}
	}
}

func TestI10AnEnrolmentsLostAnswerIsToldTheTruth(t *testing.T) {
	for name, prepare := range enrolSteps() {
		for how, lose := range map[string]fault.Fault{
			"lost":                  fault.Lose(nil),
			"lost the race":         fault.Conflict(),
			"lost and written over": {}, // the fault is made below, because it needs the world
		} {
			w := plain(t, nil)
			step := prepare(t, w)
			if lose.Before == nil && lose.After == nil {
				lose.After = func(context.Context) error {
					put(t, w, mfa.Person{ID: user, Name: mfa.Some("Anna")})
					return fault.Err
				}
			}
			if (name == "send" || name == "begin, to prove") && strings.Contains(how, "over") {
				continue // the code was sent, and a repeated call has to wait, as with SendCode
			}
			w.Faults.Inject(fault.Commit, 1, lose)
			said := step()
			w.Faults.Clear()
			wantTold(t, w, name+", "+how, said)
		}
	}
}

func TestI10AnEnrolmentWhoseAnswersWereAllLostIsRepeatedUnderItsKey(t *testing.T) {
	w := plain(t, nil)
	begun := begin(t, w, w.Fresh(), mfa.TOTP)
	call := enrolKeyed(w.Client, "/v1/enrolments/finish")
	code := w.Code(appOf(t, begun))
	w.Faults.Inject(fault.Commit, -1, fault.Lose(nil))
	_, err := finish(t, w, call, begun.ID, code)
	wantCode(t, err, mfa.Unavailable)
	w.Faults.Clear()
	again := heard(finish(t, w, call, begun.ID, code))
	if again.Said["recovery 9"] == "" || again.Said["factor"] == "" {
		t.Fatalf("got %+v, want the answer that was lost", again)
	}
	if _, err := recovering(t, w, seal.NewSecret(again.Said["recovery 9"])); err != nil {
		t.Errorf("a recovery code of it: %v", err)
	}
}

func TestAFactorThatIsGoneWhenItsLostAnswerIsFoundIsStillNamed(t *testing.T) {
	w := plain(t, nil)
	begun := begin(t, w, w.Fresh(), mfa.Email)
	code := w.Outbox.Code(t, mail)
	w.Faults.Inject(fault.Commit, 1, fault.Fault{After: func(context.Context) error {
		if err := w.RemoveFactor(t.Context(), steppedUpByMail(t, w), org, user, shown(t, w).Factors[0].ID); err != nil {
			t.Error(err)
		}
		return fault.Err
	}})
	done, err := finish(t, w, w.Client, begun.ID, code)
	if err != nil || done.Factor.ID == "" || done.Factor.Kind != mfa.Email {
		t.Errorf("got %+v, %v, want the factor that was enrolled", done, err)
	}
}

func TestI10TheLastWrongFirstCodeWhoseLostCommitWasWrittenOverIsStillWrong(t *testing.T) {
	w := plain(t, nil)
	begun := begin(t, w, w.Fresh(), mfa.Email)
	wrong := mfatest.Wrong(w.Outbox.Code(t, mail))
	for left := 4; left >= 0; left-- {
		w.Faults.Inject(fault.Commit, 1, fault.Fault{After: func(context.Context) error {
			put(t, w, mfa.Person{ID: user, Name: mfa.Some(fmt.Sprint("Anna ", left))})
			return fault.Err
		}})
		_, err := finish(t, w, w.Client, begun.ID, wrong)
		if got := *wantCode(t, err, mfa.WrongCode).AttemptsLeft; got != left {
			t.Errorf("got %d attempts left, want %d", got, left)
		}
	}
	if got := len(events(t, w, mfa.ChallengeFailed)); got != 5 {
		t.Errorf("got %d counted, want 5", got)
	}
}

func TestI10TheCodesOwedAreToldByALostVerifyToo(t *testing.T) {
	w := plain(t, nil)
	said := ana().User
	begun, err := w.BeginEnrolment(t.Context(), w.Client, mfa.EnrolRequest{
		Org: org, User: &said, Kind: mfa.Email, OnBehalf: &mfa.Intervention{Actor: "eva", Reason: "first day"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := finish(t, w, w.Client, begun.ID, w.Outbox.Code(t, mail)); err != nil {
		t.Fatal(err)
	}
	ch := started(t, w, ana())
	w.Faults.Inject(fault.Commit, 1, fault.Fault{After: func(context.Context) error {
		put(t, w, mfa.Person{ID: user, Name: mfa.Some("Anna")})
		return fault.Err
	}})
	answer, err := verify(t, w, ch.ID, w.Outbox.Code(t, mail), false)
	if err != nil || len(answer.RecoveryCodes) != 10 {
		t.Fatalf("got %d codes, %v, want 10", len(answer.RecoveryCodes), err)
	}
	if _, err := recovering(t, w, answer.RecoveryCodes[0]); err != nil {
		t.Errorf("one of them: %v", err)
	}
}
