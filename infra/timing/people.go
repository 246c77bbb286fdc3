package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/pquerna/otp/totp"

	"countersign/pkg/mfa"
	"countersign/pkg/seal"
)

// All users belong to org. elsewhere is another org.
const (
	org       = "acme"
	elsewhere = "globex"
)

// A person is a user of the org. The ids of the person's challenge and enrolment are made as a stranger could make them up,
// from the hash of org and user (see the package comment of mfa). Only the user in the state asked has a real challenge.
type person struct {
	state     string
	user      string
	challenge []byte // what the id of the challenge carries
}

// A deployment is the local server as a client sees it.
type deployment struct {
	url string
	key string // an API key with every scope
}

// call makes a call, and reads its answer. It returns an error if the status is not want.
func (d *deployment) call(ctx context.Context, method, path string, body any, want int, header ...string) (answer, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	if body == nil {
		text = nil
	}
	q, err := http.NewRequestWithContext(ctx, method, d.url+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	q.Header.Set("Authorization", "Bearer "+d.key)
	q.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		q.Header.Set(header[i], header[i+1])
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	said, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if r.StatusCode != want {
		return nil, fmt.Errorf("%s %s: status %d, want %d: %s", method, path, r.StatusCode, want, said)
	}
	var a answer
	if len(said) > 0 {
		err = json.Unmarshal(said, &a)
	}
	return a, err
}

// An answer is the JSON object of an answer.
type answer map[string]any

// text returns a field of the answer, by its path with dots. It is empty if there is no such field.
func (a answer) text(path string) string {
	var here any = map[string]any(a)
	for name := range strings.SplitSeq(path, ".") {
		within, _ := here.(map[string]any)
		here = within[name]
	}
	s, _ := here.(string)
	return s
}

// populate makes users in every state. The first user was never seen. The second was never seen either, and is the control.
func (d *deployment) populate(ctx context.Context) ([]person, error) {
	policy := map[string]any{"trust": map[string]any{"days": 30, "cap": 20, "rotate": true}}
	if _, err := d.call(ctx, "PUT", "/v1/orgs/"+org+"/policy", policy, 200, "If-Match", `"0"`); err != nil {
		return nil, err
	}
	states := []struct {
		name string
		make func(ctx context.Context, p *person) error
	}{
		{"unknown", nil},
		{"unknown too", nil},
		{"known", d.know},
		{"enrolled", func(ctx context.Context, p *person) error { _, err := d.enrol(ctx, p); return err }},
		{"asked", d.ask},
		{"locked", d.lock},
		{"deprovisioned", d.deprovision},
		{"20 browsers", d.trust},
	}
	var people []person
	for i, s := range states {
		p := person{state: s.name, user: fmt.Sprintf("user-%02d", i)}
		p.challenge = append(route(p.user), make([]byte, seal.IDRandom)...)
		if s.make != nil {
			if err := s.make(ctx, &p); err != nil {
				return nil, fmt.Errorf("make a user who is %s: %w", s.name, err)
			}
		}
		people = append(people, p)
	}
	return people, nil
}

// route returns the hash of the org, followed by the hash of org and user, as the ids and bearers of the user carry it.
func route(user string) []byte {
	ofOrg, ofUser := sha256.Sum256(seal.Join(org)), sha256.Sum256(seal.Join(org, user))
	return append(ofOrg[:16:16], ofUser[:16]...)
}

func (p *person) path() string { return "/v1/orgs/" + org + "/users/" + p.user }

func (d *deployment) know(ctx context.Context, p *person) error {
	_, err := d.call(ctx, "PUT", p.path(), map[string]any{"email": p.user + "@acme.example"}, 200)
	return err
}

// code returns the code that an authenticator app shows now.
func (d *deployment) code(ctx context.Context, secret string) (string, error) {
	clock, err := d.call(ctx, "GET", "/local/clock", nil, 200)
	if err != nil {
		return "", err
	}
	now, err := time.Parse(time.RFC3339Nano, clock.text("now"))
	if err != nil {
		return "", err
	}
	return totp.GenerateCode(secret, now)
}

// enrol enrols an authenticator app for the user, and returns its secret. The code of this moment is spent then.
func (d *deployment) enrol(ctx context.Context, p *person) (secret string, err error) {
	begun, err := d.call(ctx, "POST", "/v1/enrolments", map[string]any{
		"org": org, "user": map[string]any{"id": p.user, "email": p.user + "@acme.example"}, "kind": mfa.TOTP,
		"on_behalf": map[string]any{"actor": "admin", "reason": "to measure"},
	}, 201)
	if err != nil {
		return "", err
	}
	secret = begun.text("totp.secret")
	code, err := d.code(ctx, secret)
	if err != nil {
		return "", err
	}
	_, err = d.call(ctx, "POST", "/v1/enrolments/"+begun.text("id")+"/finish", map[string]any{"code": code}, 201)
	return secret, err
}

// start begins a sign-in that asks the user.
func (d *deployment) start(ctx context.Context, p *person) (id string, err error) {
	began, err := d.call(ctx, "POST", "/v1/challenges", map[string]any{"org": org, "user": map[string]any{"id": p.user}}, 201)
	return began.text("challenge.id"), err
}

func (d *deployment) ask(ctx context.Context, p *person) error {
	if _, err := d.enrol(ctx, p); err != nil {
		return err
	}
	id, err := d.start(ctx, p)
	if err != nil {
		return err
	}
	p.challenge, err = base64.RawURLEncoding.DecodeString(strings.TrimPrefix(id, "ch_"))
	return err
}

func (d *deployment) lock(ctx context.Context, p *person) error {
	secret, err := d.enrol(ctx, p)
	if err != nil {
		return err
	}
	for guess := 0; ; guess++ {
		if user, err := d.call(ctx, "GET", p.path(), nil, 200); err != nil || user.text("status") == mfa.StatusLocked {
			return err
		}
		if guess == 200 {
			return errors.New("200 wrong answers lock nobody")
		}
		wrong := func(code string) map[string]any {
			return map[string]any{"code": string('0'+(code[0]-'0'+5)%10) + code[1:]}
		}
		if err := d.answer(ctx, p, secret, wrong, 422); err != nil {
			return err
		}
	}
}

// answer begins a sign-in of the user, and answers it with what body makes from the code that the app shows.
func (d *deployment) answer(ctx context.Context, p *person, secret string, body func(code string) map[string]any, want int) error {
	id, err := d.start(ctx, p)
	if err != nil {
		return err
	}
	code, err := d.code(ctx, secret)
	if err != nil {
		return err
	}
	_, err = d.call(ctx, "POST", "/v1/challenges/"+id+"/verify", body(code), want)
	return err
}

func (d *deployment) deprovision(ctx context.Context, p *person) error {
	if _, err := d.enrol(ctx, p); err != nil {
		return err
	}
	_, err := d.call(ctx, "POST", p.path()+"/events", map[string]any{"kind": mfa.Deprovisioned}, 200)
	return err
}

func (d *deployment) trust(ctx context.Context, p *person) error {
	secret, err := d.enrol(ctx, p)
	if err != nil {
		return err
	}
	for i := range 20 {
		if _, err := d.call(ctx, "POST", "/local/clock", map[string]any{"advance_s": 30}, 200); err != nil { // so that the app shows a code that is not spent
			return err
		}
		trusting := func(code string) map[string]any {
			return map[string]any{"code": code, "trust": map[string]any{"name": fmt.Sprintf("Browser %d", i+1)}}
		}
		if err := d.answer(ctx, p, secret, trusting, 200); err != nil {
			return err
		}
	}
	return nil
}
