package emulatortest

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"testing"

	"countersign/pkg/seal"
)

// Customers are users who sign in all the time, beside what a test does. Each of them is new.
type Customers struct {
	enter func(user string) error
	mu    sync.Mutex
	more  *sync.Cond // is told of each sign-in
	users int        // how many have begun
	well  []string   // who has signed in
	lost  []error    // why the others have not
	left  bool
	work  sync.WaitGroup
	under sync.RWMutex // held for reading by each sign-in
}

// Let lets n customers at a time sign in, by calling signIn with their names, until they are told to leave.
func Let(tb testing.TB, n int, signIn func(user string) error) *Customers {
	tb.Helper()
	c := &Customers{enter: signIn}
	c.more = sync.NewCond(&c.mu)
	for range n {
		c.work.Go(func() {
			for c.next() {
			}
		})
	}
	tb.Cleanup(func() { c.Leave() })
	return c
}

// next lets one more customer sign in. It returns false when there shall be no more.
func (c *Customers) next() bool {
	c.mu.Lock()
	c.users++
	user, left := fmt.Sprintf("customer-%d", c.users), c.left
	c.mu.Unlock()
	if left {
		return false
	}
	c.under.RLock()
	err := c.enter(user)
	c.under.RUnlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.lost = append(c.lost, fmt.Errorf("%s: %w", user, err))
	} else {
		c.well = append(c.well, user)
	}
	c.more.Broadcast()
	return true
}

// Served waits until n more customers have signed in. It reports each customer who could not.
func (c *Customers) Served(tb testing.TB, n int) {
	tb.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for end := len(c.well) + n; len(c.well) < end && len(c.lost) == 0; {
		c.more.Wait()
	}
	for _, err := range c.lost {
		tb.Errorf("a sign-in is lost: %v", err)
	}
	c.lost = nil
}

// Between calls do while no sign-in is under way. Those that come meanwhile wait.
func (c *Customers) Between(do func()) {
	c.under.Lock()
	defer c.under.Unlock()
	do()
}

// Leave waits until all customers who have begun to sign in have done so, lets no others begin, and returns who has signed in.
func (c *Customers) Leave() []string {
	c.mu.Lock()
	c.left = true
	c.mu.Unlock()
	c.work.Wait()
	return c.well
}

// A service is the API at a URL, which is called with an API key.
type service struct {
	base string
	key  seal.Secret
}

// SignIn lets n customers at a time sign in at the URL base, until they are told to leave. Each answers a code by email, and signs
// in again from the browser that is trusted since then. They are in the organisation acme, whose profile must be kls.
func SignIn(tb testing.TB, base string, key seal.Secret, n int) *Customers {
	tb.Helper()
	return Let(tb, n, service{base, key}.signIn)
}

func (s service) signIn(user string) error {
	who := map[string]any{"org": "acme", "user": map[string]any{"id": user, "email": user + "@acme.example"}}
	var begun struct{ Challenge struct{ ID string } }
	if err := s.call("POST", "/v1/challenges", who, http.StatusCreated, &begun); err != nil {
		return err
	}
	var sent struct{ Messages []struct{ Code string } }
	if err := s.call("GET", "/local/outbox?to="+url.QueryEscape(user+"@acme.example"), nil, http.StatusOK, &sent); err != nil {
		return err
	}
	if len(sent.Messages) == 0 {
		return fmt.Errorf("no code was sent")
	}
	answer := map[string]any{"code": sent.Messages[0].Code, "trust": map[string]any{"name": "Firefox"}}
	var done struct {
		TrustToken string `json:"trust_token"`
	}
	if err := s.call("POST", "/v1/challenges/"+begun.Challenge.ID+"/verify", answer, http.StatusOK, &done); err != nil {
		return err
	}
	who["trust_token"] = done.TrustToken
	var again struct{ Reason string }
	err := s.call("POST", "/v1/challenges", who, http.StatusOK, &again)
	if err == nil && again.Reason != "trusted_browser" {
		err = fmt.Errorf("got the reason %q, want that the browser is trusted", again.Reason)
	}
	return err
}

// call makes a request, whose answer must have a status. A 503 is tried again under the same Idempotency-Key, as clients of the API do,
// because a DynamoDB Local on a busy machine can be slower than a function waits for it. A test that must know why there was a 503
// finds it in what the functions write.
func (s service) call(method, path string, body any, status int, into any) error {
	key := rand.Text()
	for range 5 {
		got, said, err := s.try(method, path, body, key)
		switch {
		case err != nil:
			return err
		case got == status:
			return json.Unmarshal(said, into)
		case got != http.StatusServiceUnavailable:
			return fmt.Errorf("%s %s: got %d %s, want %d", method, path, got, said, status)
		}
	}
	return fmt.Errorf("%s %s: got 503 each time, want %d", method, path, status)
}

func (s service) try(method, path string, body any, key string) (status int, said []byte, err error) {
	var sent []byte
	if body != nil {
		var err error
		if sent, err = json.Marshal(body); err != nil {
			return 0, nil, err
		}
	}
	r, err := http.NewRequest(method, s.base+path, bytes.NewReader(sent))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Authorization", "Bearer "+s.key.Reveal())
	r.Header.Set("Content-Type", "application/json")
	if method == http.MethodPost {
		r.Header.Set("Idempotency-Key", key)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	said, err = io.ReadAll(res.Body)
	return res.StatusCode, said, err
}
