package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"countersign/pkg/seal"
)

// These types have the fields of Countersign's answers that the application uses. It ignores all other fields.

type started struct {
	Decision   string
	Reason     string
	Token      string
	TrustToken string    `json:"trust_token"`
	IssuedAt   time.Time `json:"issued_at"`
	ID         string    // of the challenge that only an enrolment answers
	Challenge  *challenge
	Enrolment  *enrolment
}

type enrolment struct {
	URL     string
	Token   seal.Secret
	Kinds   []string
	Expires time.Time
	Due     *time.Time // until when the user may put it off; nil if that is not what the user may
}

// by says by when the user has to enrol, for the end of a sentence.
func (e *enrolment) by() string {
	if e.Due == nil {
		return ""
	}
	return " by " + e.Due.UTC().Format("2 January 2006")
}

// page returns the address of the hosted page that asks the user. It is empty if there is none.
func (s *started) page() string {
	switch {
	case s.Challenge != nil:
		return s.Challenge.URL
	case s.Enrolment != nil:
		return s.Enrolment.URL
	}
	return ""
}

// A challengeState says how far a challenge has come that a hosted page has asked.
type challengeState struct {
	State   string
	Outcome outcome
}

// An outcome is how a challenge was answered: with a factor, with a recovery code or by an enrolment.
type outcome struct {
	verified
	Effect    string     // of a recovery code or a pass; empty if the answer was another one
	CodesLeft int        `json:"codes_left"`
	Factor    *factor    // that was enrolled; nil if the answer was another one
	Enrolment *enrolment // that a recovery code demands before it lets in; nil if it doesn't
}

type challenge struct {
	ID          string
	Token       string
	URL         string
	Expires     time.Time
	Sent        *sent
	SendError   string `json:"send_error"`
	RetryAfterS int    `json:"retry_after_s"`
	Methods     []method
	Default     string
	Recovery    bool
	Trust       *struct{ Days int }
	WebAuthn    json.RawMessage // the options for the user's keys, if the default is one
}

type method struct{ Factor, Kind, Label, Hint string }

// sends reports whether Countersign sends the codes of such a factor.
func (m method) sends() bool { return m.Kind == "email" || m.Kind == "sms" }

type sent struct {
	Factor      string
	Hint        string
	Sequence    string
	Expires     time.Time
	ResendAfter time.Time `json:"resend_after"`
	SendsLeft   int       `json:"sends_left"`
}

type verified struct {
	Token          string
	TrustToken     string                       `json:"trust_token"`
	KnownToken     string                       `json:"known_token"`
	IssuedAt       time.Time                    `json:"issued_at"`
	TrustedBrowser *struct{ Expires time.Time } `json:"trusted_browser"`
	RecoveryCodes  []seal.Secret                `json:"recovery_codes"`
}

type begun struct {
	ID      string
	Expires time.Time
	TOTP    struct {
		Secret, URI seal.Secret
		QRSVG       seal.Secret `json:"qr_svg"`
	}
	WebAuthn    json.RawMessage       // the options to make a key
	Sent        *sent                 // the code that was sent to a new number or address
	SendError   string                `json:"send_error"`
	RetryAfterS int                   `json:"retry_after_s"`
	Prove       *struct{ Sent *sent } // the code that was sent to the known address, which has to be proven first; nil if none has to
}

type finished struct {
	Factor        factor
	Token         string        // of the sign-in that the set-up has answered; empty if there is none
	IssuedAt      time.Time     `json:"issued_at"`
	RecoveryCodes []seal.Secret `json:"recovery_codes"`
}

type factor struct {
	ID, Kind, Label, Hint string
	LastUsed              *time.Time `json:"last_used"`
	Provider, Variant     string     // of a key
	Synced                bool
}

type account struct {
	Email          string
	Factors        []factor
	WebAuthnSignal json.RawMessage `json:"webauthn_signal"`
	Recovery       struct {
		CodesLeft int  `json:"codes_left"`
		FewLeft   bool `json:"few_left"`
	}
}

type policy struct {
	Version  int
	Methods  struct{ TOTP, WebAuthn, SMS, Email string }
	SMS      struct{ Countries []string }
	Recovery struct{ Count int }
}

type sentMessage struct {
	At                time.Time
	Channel           string
	To, Subject, Text string
	Code              string
}

// A problem is Countersign's answer to a call that it refuses or can't carry out (RFC 9457).
type problem struct {
	Status       int
	Code         string
	Detail       string
	AttemptsLeft *int `json:"attempts_left"`
	RetryAfterS  int  `json:"retry_after_s"`
	ClockOffS    int  `json:"clock_off_s"`
}

// Error implements error.
func (p *problem) Error() string { return fmt.Sprintf("%d %s: %s", p.Status, p.Code, p.Detail) }

// A request is one call of Countersign's API.
type request struct {
	method, path string
	bearer       string
	ifMatch      string
	fresh        *signedIn // whose password check and step-up the headers name; may be nil
	body         any
}

// call makes a request and decodes the answer into the value to which into points. An answer without a 2xx status is returned
// as a *problem.
func (d *Demo) call(ctx context.Context, q request, into any) (err error) {
	status := 0
	defer func() { note(ctx, q, status, into, err) }()
	var body io.Reader
	if q.body != nil {
		text, err := json.Marshal(q.body)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, q.method, d.o.Issuer+q.path, body)
	if err != nil {
		return err
	}
	if q.body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if q.bearer != "" {
		r.Header.Set("Authorization", "Bearer "+q.bearer)
	}
	if q.ifMatch != "" {
		r.Header.Set("If-Match", q.ifMatch)
	}
	if q.fresh != nil && !q.fresh.checked.IsZero() {
		r.Header.Set("Countersign-Reauthenticated-At", q.fresh.checked.UTC().Format(time.RFC3339))
	}
	if q.fresh != nil && !q.fresh.proof.IsZero() {
		r.Header.Set("Countersign-Proof", q.fresh.proof.Reveal())
	}
	answer, err := d.http.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	status = answer.StatusCode
	if answer.StatusCode/100 != 2 {
		p := &problem{Status: answer.StatusCode}
		if err := json.NewDecoder(answer.Body).Decode(p); err != nil {
			return fmt.Errorf("%s %s: status %d without a problem document", q.method, q.path, answer.StatusCode)
		}
		return p
	}
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(answer.Body).Decode(into); err != nil {
		return fmt.Errorf("%s %s: read the answer: %w", q.method, q.path, err)
	}
	return nil
}

// inside is an http.RoundTripper that passes requests to a handler of this process, as if they came over the network.
type inside struct{ http.Handler }

// RoundTrip implements http.RoundTripper.
func (i inside) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	in.RequestURI = r.URL.RequestURI()
	in.Host = r.URL.Host
	in.RemoteAddr = "127.0.0.1:0"
	if in.Body == nil {
		in.Body = http.NoBody
	}
	w := &written{header: http.Header{}, status: http.StatusOK}
	i.ServeHTTP(w, in)
	return &http.Response{
		StatusCode: w.status, Status: http.StatusText(w.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: r,
	}, nil
}

// written is an http.ResponseWriter that keeps the answer of a handler.
type written struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (w *written) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *written) WriteHeader(status int) { w.status = status }

// Write implements http.ResponseWriter.
func (w *written) Write(b []byte) (int, error) { return w.body.Write(b) }
