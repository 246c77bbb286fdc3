package mfa_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"go.yaml.in/yaml/v4"

	"countersign/pkg/api/openapi"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/passkey/passkeytest"
)

// A device is what a user needs to enrol a factor of some kind.
type device struct {
	policy  func(*mfa.Policy)
	asks    func(*mfa.EnrolRequest)                                                                                       // changes the request that begins the enrolment; may be nil
	enrols  func(t *testing.T, w *mfatest.World, begun mfa.EnrolAnswer) (answers func(*mfa.ChallengeToAnswer) mfa.Answer) // answers returns the answer to a challenge, or the one that finishes the enrolment if the challenge is nil
	noForms []mfa.Answer                                                                                                  // answers of an invalid form
	wrong   mfa.Answer
	amr     []any
	acr     string
	refusal mfa.ErrorCode // the error for a wrong answer

	restricted bool // restricted by NIST SP 800-63B-4
}

// devices returns one device for each kind.
func devices() map[mfa.Kind]device {
	code, number := mfatest.CodeAnswer, "+33612345678"
	noCodes := []mfa.Answer{code("12345"), code("1234567"), code("12 456"), code("١٢٣٤٥٦"), {Credential: json.RawMessage(`{}`)}, {}}
	credential := func(id, kind, response string) mfa.Answer {
		return mfa.Answer{Credential: fmt.Appendf(nil, `{"id":%q,"rawId":%q,"type":%q,"response":%s}`, id, id, kind, response)}
	}
	return map[mfa.Kind]device{
		mfa.WebAuthn: {
			enrols: func(t *testing.T, w *mfatest.World, begun mfa.EnrolAnswer) func(*mfa.ChallengeToAnswer) mfa.Answer {
				key := &passkeytest.Authenticator{}
				return func(ch *mfa.ChallengeToAnswer) mfa.Answer {
					if ch == nil {
						return mfa.Answer{Credential: must(key.Create(begun.WebAuthn, mfatest.Origin))(t)}
					}
					return mfa.Answer{Credential: must(key.Get(ch.WebAuthn, mfatest.Origin))(t)}
				}
			},
			noForms: []mfa.Answer{
				code("123456"), {Credential: json.RawMessage(`{}`)}, {Credential: json.RawMessage(`[]`)}, {}, credential("AAAA", "password", `{}`),
				credential("AAAA", "public-key", `null`), credential("AAAA=", "public-key", `{}`), credential("", "public-key", `{}`),
			},
			wrong: credential("AAAA", "public-key", `{}`), amr: []any{"hwk", "mfa"}, acr: "aal2", refusal: mfa.WrongCredential,
		},
		mfa.TOTP: {
			enrols: func(t *testing.T, w *mfatest.World, begun mfa.EnrolAnswer) func(*mfa.ChallengeToAnswer) mfa.Answer {
				a, err := mfatest.NewAuthenticator(begun.TOTP.URI.Reveal())
				if err != nil {
					t.Fatal(err)
				}
				return func(*mfa.ChallengeToAnswer) mfa.Answer { return mfa.Answer{Code: w.NextCode(a)} }
			},
			noForms: noCodes, wrong: code("000000"), amr: []any{"otp", "mfa"}, acr: "aal2", refusal: mfa.WrongCode,
		},
		mfa.Email: {
			enrols: func(t *testing.T, w *mfatest.World, _ mfa.EnrolAnswer) func(*mfa.ChallengeToAnswer) mfa.Answer {
				return func(*mfa.ChallengeToAnswer) mfa.Answer { return mfa.Answer{Code: w.Outbox.Code(t, mail)} }
			},
			noForms: noCodes, wrong: code("000000"), amr: []any{"otp"}, acr: "aal1", refusal: mfa.WrongCode,
		},
		mfa.SMS: {
			policy: func(p *mfa.Policy) { p.SMS.Countries = []string{"FR"} },
			asks:   func(q *mfa.EnrolRequest) { q.Phone = &number },
			enrols: func(t *testing.T, w *mfatest.World, _ mfa.EnrolAnswer) func(*mfa.ChallengeToAnswer) mfa.Answer {
				return func(*mfa.ChallengeToAnswer) mfa.Answer { return mfa.Answer{Code: w.Outbox.Code(t, number)} }
			},
			noForms: noCodes, wrong: code("000000"), amr: []any{"sms", "mfa"}, acr: "aal2", refusal: mfa.WrongCode, restricted: true,
		},
	}
}

func TestEveryKindIsEnrolledAndAnswersOnce(t *testing.T) {
	for _, kind := range mfa.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			d, has := devices()[kind]
			if !has {
				t.Fatal("devices, in this file, has none for this kind: add one, so that the kind is tested")
			}
			w := mfatest.New(t)
			w.SetPolicy(t, org, "default", func(p *mfa.Policy) {
				everyKind(p)
				if d.policy != nil {
					d.policy(p)
				}
			})
			put(t, w, ana().User)
			person := ana().User
			asked := mfa.EnrolRequest{Org: org, User: &person, Kind: kind}
			if d.asks != nil {
				d.asks(&asked)
			}
			begun, err := w.BeginEnrolment(t.Context(), w.Fresh(), asked)
			if err != nil {
				t.Fatal(err)
			}
			answers := d.enrols(t, w, begun)
			finish := func(a mfa.Answer) error {
				_, err := w.FinishEnrolment(t.Context(), w.Fresh(), mfa.FinishRequest{Enrolment: begun.ID, Answer: a})
				return err
			}
			d.wantUncounted(t, finish)
			first := answers(nil)
			if err := finish(first); err != nil {
				t.Fatal(err)
			}
			wantCode(t, finish(first), mfa.EnrolmentInvalid)

			w.Clock.Advance(mfatest.Step)
			q := ana()
			q.Method = &kind
			ch := started(t, w, q)
			if len(ch.Methods) != 1 || ch.Methods[0].Kind != kind {
				t.Fatalf("got the methods %+v, want the one that was enrolled", ch.Methods)
			}
			if f := shown(t, w).Factors; f[0].Restricted != d.restricted || ch.Methods[0].Restricted != d.restricted {
				t.Errorf("got the factor %+v and the method %+v, want both marked as restricted: %v", f[0], ch.Methods[0], d.restricted)
			}
			answer := func(ch *mfa.ChallengeToAnswer, a mfa.Answer) (mfa.VerifyAnswer, error) {
				return w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ch.ID, Answer: a})
			}
			_, err = answer(ch, first)
			if left := *wantCode(t, err, d.refusal).AttemptsLeft; left != 4 {
				t.Errorf("the answer that finished the enrolment, again: got %d attempts left, want 4", left)
			}
			ch = started(t, w, q)
			d.wantUncounted(t, func(a mfa.Answer) error { _, err := answer(ch, a); return err })
			right := answers(ch)
			verified, err := answer(ch, right)
			if err != nil {
				t.Fatal(err)
			}
			wantClaims(t, w, verified.Token, map[string]any{"acr": d.acr, "amr": append([]any{"pwd"}, d.amr...), "kind": string(kind)})
			_, err = answer(ch, right)
			wantCode(t, err, mfa.ChallengeInvalid)
			_, err = answer(started(t, w, q), right)
			wantCode(t, err, d.refusal)
			if f := shown(t, w).Factors; len(f) != 1 || f[0].Kind != kind || f[0].LastUsed == nil {
				t.Errorf("got the factors %+v, want one of kind %s that was used", f, kind)
			}
		})
	}
}

// wantUncounted fails the test unless answers of an invalid form are refused without being counted, and a wrong answer is
// counted.
func (d device) wantUncounted(t *testing.T, answer func(mfa.Answer) error) {
	t.Helper()
	for _, a := range d.noForms {
		wantCode(t, answer(a), mfa.InvalidRequest)
	}
	if left := *wantCode(t, answer(d.wrong), d.refusal).AttemptsLeft; left != 4 {
		t.Errorf("the first wrong answer: got %d attempts left, want 4", left)
	}
}

func TestEveryKindThatIsDeclaredHasARow(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	declared := 0
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, is := n.(*ast.ValueSpec)
			if !is {
				return true
			}
			kind, is := spec.Type.(*ast.Ident)
			if !is || kind.Name != "Kind" || len(spec.Values) != 1 {
				return true
			}
			declared++
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil || !slices.Contains(mfa.Kinds(), mfa.Kind(value)) {
				t.Errorf("%s: the kind %s has no row in the table", name, spec.Names[0])
			}
			return true
		})
	}
	if declared != len(mfa.Kinds()) {
		t.Errorf("found %d kinds declared, want %d", declared, len(mfa.Kinds()))
	}
}

func TestEveryKindHasASettingOfThePolicyAndTheSettingsHaveNoOther(t *testing.T) {
	settings := func(p mfa.Policy) map[string]string {
		text, err := json.Marshal(p.Methods)
		if err != nil {
			t.Fatal(err)
		}
		var all map[string]string
		if err := json.Unmarshal(text, &all); err != nil {
			t.Fatal(err)
		}
		return all
	}
	var names []string
	for _, kind := range mfa.Kinds() {
		names = append(names, string(kind))
		forbid := mfa.DefaultPolicy()
		if err := json.Unmarshal(fmt.Appendf(nil, `{"methods":{%q:"forbidden"}}`, kind), &forbid); err != nil {
			t.Fatal(err)
		}
		if got := forbid.Method(kind); got != mfa.NotAllowed {
			t.Errorf("a policy that forbids %s says %q of it", kind, got)
		}
		odd := mfa.DefaultPolicy()
		if err := json.Unmarshal(fmt.Appendf(nil, `{"methods":{%q:"sometimes"}}`, kind), &odd); err != nil {
			t.Fatal(err)
		}
		if got := odd.Method(kind); got != "sometimes" {
			t.Errorf("the setting methods.%s isn't the policy's word on the kind: got %q", kind, got)
		}
		if e := wantCode(t, odd.Check(), mfa.InvalidRequest); e.Param != "methods."+string(kind) {
			t.Errorf("a setting of %s that is no word: %s was refused", kind, e.Param)
		}
	}
	if got := slices.Sorted(maps.Keys(settings(mfa.DefaultPolicy()))); !slices.Equal(got, slices.Sorted(slices.Values(names))) {
		t.Errorf("the policy's methods are %q, want those in the table: %q", got, names)
	}
}

func TestTheOpenAPIDocumentHasEveryKind(t *testing.T) {
	var document struct {
		Components struct {
			Schemas map[string]struct {
				Enum       []string
				Properties map[string]struct {
					Enum []*string
				}
				Required []string
			}
		}
	}
	if err := yaml.NewDecoder(bytes.NewReader(openapi.Document)).Decode(&document); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, kind := range mfa.Kinds() {
		want = append(want, string(kind))
	}
	schemas := document.Components.Schemas
	if got := schemas["Kind"].Enum; !slices.Equal(got, want) {
		t.Errorf("Kind: got %q, want %q", got, want)
	}
	var methods []string
	for _, word := range schemas["SignIn"].Properties["method"].Enum {
		if word != nil {
			methods = append(methods, *word)
		}
	}
	if !slices.Equal(methods, want) {
		t.Errorf("method of a start: got %q, want %q", methods, want)
	}
	if got := slices.Sorted(slices.Values(schemas["PolicyMethods"].Required)); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("PolicyMethods: got %q, want %q", got, want)
	}
	if got := slices.Sorted(slices.Values(schemas["KindCounts"].Required)); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("KindCounts: got %q, want %q", got, want)
	}
}

// The store can hold a kind that this build doesn't know, if a later version was here before.
func TestAFactorOfAnUnknownKindIsRefusedEverywhere(t *testing.T) {
	w, voice := withKinds(t, nil, "voice")
	answer, err := w.StartChallenge(t.Context(), w.Client, ana())
	if err != nil || answer.Decision.Decision != mfa.Allow {
		t.Errorf("alone: got %s, %v, want what a user without a factor gets", answer.Decision.Decision, err)
	}
	if err := w.PutFactor(t.Context(), org, user, mfa.Email, mail); err != nil {
		t.Fatal(err)
	}
	ch := started(t, w, ana())
	if len(ch.Methods) != 1 || ch.Methods[0].Kind != mfa.Email {
		t.Errorf("beside email: got the methods %+v, want email only", ch.Methods)
	}
	_, err = w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ch.ID, Factor: voice, Answer: mfatest.CodeAnswer("123456")})
	wantCode(t, err, mfa.MethodForbidden)
	_, err = w.SendCode(t.Context(), w.Client, mfa.SendRequest{Challenge: ch.ID, Factor: voice})
	wantCode(t, err, mfa.MethodForbidden)
	person := ana().User
	_, err = w.BeginEnrolment(t.Context(), w.Fresh(), mfa.EnrolRequest{Org: org, User: &person, Kind: "voice"})
	wantCode(t, err, mfa.InvalidRequest)
	wantUnspent(t, w, ch.ID, w.Outbox.Code(t, mail))
}

// must returns the result of a call, for a test that fails if the call returned an error.
func must[T any](got T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
}
