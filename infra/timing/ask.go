package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"countersign/infra/local/server"
	"countersign/pkg/seal"
)

// An ask is one way in which a stranger asks about a user: a bearer, and a call with it.
type ask struct {
	name    string
	request func(p person) string // makes the HTTP request about a user
	status  int                   // the status of the answer, whichever user the request is about
	own     bool                  // the bearer, and not the path, says which user is read
}

// asks returns all ways of asking, with bearers that were made up, and with genuine bearers that are for something else.
func (d *deployment) asks(ctx context.Context) ([]ask, error) {
	madeUp := seal.NewFilter()
	host := strings.TrimPrefix(d.url, "http://")
	request := func(method, path, bearer, body string) string {
		return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nX-Request-Id: same\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
			method, path, host, bearer, len(body), body)
	}
	start := func(p person) string { return fmt.Sprintf(`{"org":%q,"user":{"id":%q}}`, org, p.user) }
	challenge := func(p person) string { return "/v1/challenges/ch_" + encode(p.challenge) }
	enrolment := func(p person) string { return "/v1/enrolments/en_" + encode(p.challenge) }
	const code = `{"code":"123456"}`

	apiKey := madeUp.NewBearer(seal.APIKey, make([]byte, 33)).Reveal()
	challengeToken := madeUp.NewBearer(seal.ChallengeToken, make([]byte, 48)).Reveal()
	limited, err := d.newKey(ctx, elsewhere, "sign_in", "manage", "admin")
	if err != nil {
		return nil, err
	}
	lacking, err := d.newKey(ctx, "", "admin")
	if err != nil {
		return nil, err
	}
	foreignChallenge, foreignEnrolment, err := d.foreignTokens(ctx)
	if err != nil {
		return nil, err
	}
	foreignPortal, err := d.portalToken(ctx)
	if err != nil {
		return nil, err
	}
	return []ask{
		{name: "made-up csk_, start", request: func(p person) string { return request("POST", "/v1/challenges", apiKey, start(p)) }, status: 401},
		{name: "made-up csk_, user", request: func(p person) string { return request("GET", p.path(), apiKey, "") }, status: 401},
		{name: "made-up cst_, verify", request: func(p person) string { return request("POST", challenge(p)+"/verify", challengeToken, code) }, status: 401},
		{name: "made-up cse_, enrol", request: func(p person) string {
			// Anybody can make up a token with the challenge of any user.
			return request("POST", "/v1/enrolments", enrolmentToken(madeUp, p), `{"kind":"totp"}`)
		}, status: 401},
		{name: "made-up csp_, user", request: func(p person) string {
			// Anybody can make up a token that carries the route of any user.
			return request("GET", p.path(), madeUp.NewBearer(seal.PortalToken, append(route(p.user), make([]byte, seal.RouteLen)...)).Reveal(), "")
		}, status: 401},
		{name: "csp_ of another user, user", request: func(p person) string { return request("GET", p.path(), foreignPortal, "") }, status: 403},
		{name: "csk_ of another org, start", request: func(p person) string { return request("POST", "/v1/challenges", limited, start(p)) }, status: 403},
		{name: "csk_ of another org, verify", request: func(p person) string { return request("POST", challenge(p)+"/verify", limited, code) }, status: 404},
		{name: "csk_ without the scope, start", request: func(p person) string { return request("POST", "/v1/challenges", lacking, start(p)) }, status: 403},
		{name: "cst_ of another challenge, verify", request: func(p person) string { return request("POST", challenge(p)+"/verify", foreignChallenge, code) }, status: 404},
		{name: "cse_ of another user, finish", request: func(p person) string { return request("POST", enrolment(p)+"/finish", foreignEnrolment, code) }, status: 404, own: true},
	}, nil
}

func encode(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

func enrolmentToken(f *seal.Filter, p person) string {
	return f.NewBearer(seal.EnrolmentToken, p.challenge).Reveal()
}

func (d *deployment) newKey(ctx context.Context, limit string, scopes ...string) (string, error) {
	body := map[string]any{"scopes": scopes, "client": "stranger"}
	if limit != "" {
		body["org"] = limit
	}
	made, err := d.call(ctx, "POST", "/local/keys", body, 200)
	return made.text("key"), err
}

// foreignTokens returns a token of another challenge, and an enrolment token of another org.
func (d *deployment) foreignTokens(ctx context.Context) (challenge, enrolment string, err error) {
	p := person{user: "user-99"}
	if _, err := d.enrol(ctx, &p); err != nil {
		return "", "", err
	}
	began, err := d.call(ctx, "POST", "/v1/challenges", map[string]any{"org": org, "user": map[string]any{"id": p.user}}, 201)
	if err != nil {
		return "", "", err
	}
	policy := map[string]any{"require": "everyone", "acknowledge": true}
	if _, err := d.call(ctx, "PUT", "/v1/orgs/"+elsewhere+"/policy", policy, 200, "If-Match", `"0"`); err != nil {
		return "", "", err
	}
	must, err := d.call(ctx, "POST", "/v1/challenges", map[string]any{"org": elsewhere, "user": map[string]any{"id": p.user}}, 201)
	return began.text("challenge.token"), must.text("enrolment.token"), err
}

// portalToken returns the portal token of another user.
func (d *deployment) portalToken(ctx context.Context) (string, error) {
	begun, err := d.call(ctx, "POST", "/v1/portal-sessions", map[string]any{"org": org, "user": "user-99"}, 201)
	if err != nil {
		return "", err
	}
	link := begun.text("url")
	redeemed, err := d.call(ctx, "POST", "/v1/handles", map[string]any{"handle": link[strings.LastIndexByte(link, '/')+1:]}, 200)
	return redeemed.text("token"), err
}

// measure serves the local server on loopback, and asks about every user in every way.
func measure(ctx context.Context, samples int) (found table, err error) {
	dir, err := os.MkdirTemp("", "countersign-timing")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s, err := server.Open(server.Options{Dir: dir, Port: listener.Addr().(*net.TCPAddr).Port})
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	web := &http.Server{Handler: s}
	go web.Serve(listener)
	defer func() { err = errors.Join(err, web.Close(), s.Close()) }()

	d := &deployment{url: "http://" + listener.Addr().String(), key: s.APIKey().Reveal()}
	people, err := d.populate(ctx)
	if err != nil {
		return nil, err
	}
	asks, err := d.asks(ctx)
	if err != nil {
		return nil, err
	}
	for _, a := range asks {
		times, err := a.sample(ctx, listener.Addr().String(), people, samples/2)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a.name, err)
		}
		r := row{Ask: a.name, Own: a.own, Median: slices.Sorted(slices.Values(times[0]))[len(times[0])/2]}
		for i, p := range people[1:] {
			r.Users, r.T = append(r.Users, p.state), append(r.T, largestT(times[0], times[i+1]))
		}
		found = append(found, r)
	}
	return found, nil
}

// sample asks about each of people n times, in random order over one connection, and returns the times in microseconds. It
// returns an error if the answers are not all the same.
func (a *ask) sample(ctx context.Context, address string, people []person, n int) ([][]float64, error) {
	var dialer net.Dialer
	connection, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	defer context.AfterFunc(ctx, func() { connection.Close() })()
	in := bufio.NewReader(connection)
	requests, order := make([][]byte, len(people)), make([]int, 0, n*len(people))
	for i, p := range people {
		requests[i] = []byte(a.request(p))
		if len(requests[i]) != len(requests[0]) {
			return nil, errors.New("the requests differ in length, so their times would differ too")
		}
		for range n {
			order = append(order, i)
		}
	}
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	times := make([][]float64, len(people))
	var heard string
	for k, i := range append(order[:min(len(order), 1000):min(len(order), 1000)], order...) { // the first thousand are for warming up
		began := time.Now()
		if _, err := connection.Write(requests[i]); err != nil {
			return nil, err
		}
		r, err := http.ReadResponse(in, nil)
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(r.Body)
		took := time.Since(began)
		if err != nil {
			return nil, err
		}
		r.Body.Close()
		if heard == "" {
			heard = string(body)
		}
		if r.StatusCode != a.status || string(body) != heard {
			return nil, fmt.Errorf("%s: got %d %s, want %d %s", people[i].state, r.StatusCode, body, a.status, heard)
		}
		if k >= min(len(order), 1000) {
			times[i] = append(times[i], float64(took.Nanoseconds())/1000)
		}
	}
	return times, nil
}
