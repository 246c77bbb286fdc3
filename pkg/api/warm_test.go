package api_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"countersign/pkg/apikey"
	"countersign/pkg/message"
	"countersign/pkg/mfa/mfatest"
)

// A mailroom is a provider that keeps the last message to each address.
type mailroom struct{ last sync.Map }

func (m *mailroom) SendMail(_ context.Context, mail message.Message) error {
	m.last.Store(mail.To, mail)
	return nil
}

// A tenant is an org of two whose users have the same ids. Its word is in all that is its own, and in nothing of the other's.
type tenant struct {
	*world
	mails       *mailroom
	word, other string
	key         string // an API key that is limited to the org
	asked       int    // how many requests it has made
	user        string
	challenge   string
	trust       string
}

// visit is one user's visit to an org, request by request.
func (o *tenant) visit(n int) []func() {
	o.user = fmt.Sprintf("u-%d", n)
	address := func() string { return o.user + "@" + o.word + ".example" }
	person := func(more string) string {
		return fmt.Sprintf(`{"org":%q,"user":{"id":%q,"email":%q,"name":"Ana of %s"},"nonce":"%s-%d"%s}`, o.word, o.user, address(), o.word, o.word, n, more)
	}
	code := func() string {
		mail, ok := o.mails.last.Load(address())
		if !ok {
			return "000000"
		}
		m := mail.(message.Message)
		if said := m.From + m.Subject + m.Text + m.HTML; strings.Contains(said, o.other) || !strings.Contains(m.Text, o.word) {
			o.t.Errorf("%s: the message to its user is %q", o.word, said)
		}
		return m.Code.Reveal()
	}
	users := "/v1/orgs/" + o.word + "/users/" + o.user
	return []func(){
		func() { o.challenge = o.ask("POST", "/v1/challenges", person(""), 201).word("challenge.id") },
		func() { o.ask("GET", "/v1/challenges/"+o.challenge, "", 200) },
		func() {
			right := code()
			wrong := strings.Map(func(r rune) rune { return '0' + (r-'0'+1)%10 }, right)
			o.ask("POST", "/v1/challenges/"+o.challenge+"/verify", `{"code":"`+wrong+`"}`, 422)
		},
		func() {
			got := o.ask("POST", "/v1/challenges/"+o.challenge+"/verify", `{"code":"`+code()+`","trust":{"name":"Firefox of `+o.word+`"}}`, 200)
			o.wantsClaims(got, o.user, n)
			o.trust = got.word("trust_token")
		},
		func() {
			o.wantsClaims(o.ask("POST", "/v1/challenges", person(`,"trust_token":"`+o.trust+`"`), 200), o.user, n)
		},
		func() { o.ask("POST", "/v1/decisions", person(""), 200) },
		func() {
			if got := o.ask("GET", users, "", 200); got.word("email") != address() || got.word("name") != "Ana of "+o.word {
				o.t.Errorf("%s: got the user %s", o.word, got.text)
			}
		},
		func() { o.ask("GET", users+"/browsers", "", 200) },
		func() { o.ask("GET", "/v1/orgs/"+o.word+"/users?limit=5", "", 200) },
		func() {
			if got := o.ask("GET", "/v1/orgs/"+o.word+"/policy", "", 200); got.word("org") != o.word || fmt.Sprint(got.at("notify")) != "[admin@"+o.word+".example]" {
				o.t.Errorf("%s: got the policy %s", o.word, got.text)
			}
		},
		func() { o.ask("GET", "/v1/orgs/"+o.word+"/brand", "", 200) },
		func() { o.ask("GET", "/v1/orgs/"+o.other+"/users/"+o.user, "", 403) },
		func() {
			o.ask("POST", "/v1/challenges", strings.Replace(person(""), `"`+o.word+`"`, `"`+o.other+`"`, 1), 403)
		},
	}
}

// ask makes a request with the key of the org, and reports an error if anything of the answer is the other org's.
func (o *tenant) ask(method, target, body string, status int) (got reply) {
	o.asked++
	id := fmt.Sprintf("%s-%d", o.word, o.asked)
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+o.key)
	r.Header.Set("X-Request-Id", id)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	recorder := httptest.NewRecorder()
	o.door.ServeHTTP(recorder, r)
	got = reply{status: recorder.Code, header: recorder.Result().Header, text: recorder.Body.String()}
	if err := json.Unmarshal(recorder.Body.Bytes(), &got.body); err != nil {
		o.t.Errorf("%s: %s %s: %v in %q", o.word, method, target, err, got.text)
	}
	if got.status != status {
		o.t.Errorf("%s: %s %s: got %d %s, want %d", o.word, method, target, got.status, got.text, status)
	}
	if all := fmt.Sprint(got.header) + got.text; strings.Contains(all, o.other) || got.header.Get("X-Request-Id") != id {
		o.t.Errorf("%s: %s %s: the answer to %s has something of the other's: %s", o.word, method, target, id, all)
	}
	return got
}

// wantsClaims reports an error unless the token of an answer is about a user of the org.
func (o *tenant) wantsClaims(got reply, user string, n int) {
	parts := strings.Split(got.word("token"), ".")
	if len(parts) != 3 {
		o.t.Errorf("%s: got no token in %s", o.word, got.text)
		return
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	var c struct{ Org, Sub, Nonce string }
	if err != nil || json.Unmarshal(text, &c) != nil || c.Org != o.word || c.Sub != user || c.Nonce != fmt.Sprintf("%s-%d", o.word, n) {
		o.t.Errorf("%s: got the claims %s, %v", o.word, text, err)
	}
}

func TestL9OneWarmProcessServesTwoOrganisationsAndMixesNothing(t *testing.T) {
	t.Parallel()
	requests := 1_000
	if mfatest.EveryRound() {
		requests = 100_000
	}
	w := newWorld(t)
	mails := &mailroom{}
	w.service.Mail = mails
	open := func(word, other string) *tenant {
		settings := `{"profile":"kls","notify":["admin@` + word + `.example"],"acknowledge":true}`
		w.wants("policy", w.do("PUT", "/v1/orgs/"+word+"/policy", settings, at("0")), 200)
		w.wants("brand", w.do("PUT", "/v1/orgs/"+word+"/brand", `{"name":"The `+word+` bank","colour":"#1a2b3c"}`, at("0")), 200)
		return &tenant{world: w, mails: mails, word: word, other: other, key: w.newKey(apikey.Scopes(), word)}
	}
	// Neither word is in anything that both orgs have.
	first, second := open("marigold", "nasturtium"), open("nasturtium", "marigold")
	for n := 0; first.asked+second.asked < requests && !t.Failed(); n++ {
		of, with := first.visit(n), second.visit(n)
		if n%2 == 0 { // as a function: one request after the other, each of another org than the one before
			for i := range of {
				of[i]()
				with[i]()
			}
			continue
		}
		var both sync.WaitGroup // as a server: both at once
		for _, steps := range [][]func(){of, with} {
			both.Go(func() {
				for _, step := range steps {
					step()
				}
			})
		}
		both.Wait()
	}
	for line := range strings.Lines(w.log.String()) {
		if strings.Contains(line, first.word) && strings.Contains(line, second.word) {
			t.Errorf("one line of the log is about both: %s", line)
		}
	}
	t.Logf("%d requests", first.asked+second.asked)
}
