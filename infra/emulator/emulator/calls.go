package emulator

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"countersign/pkg/api"
	"countersign/pkg/mfa"
)

// ServeHTTP implements http.Handler.
func (e *Emulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/local/") {
		e.local.ServeHTTP(w, r)
		return
	}
	if strings.HasSuffix(r.URL.Path, "/activity") {
		e.settle(r)
	}
	e.front.ServeHTTP(w, r)
}

// localCalls are those of the local server, with the same answers.
func (e *Emulator) localCalls() http.Handler {
	calls := http.NewServeMux()
	on := func(pattern string, call func(r *http.Request) (any, error)) {
		calls.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "no-store")
			id := rand.Text()
			w.Header().Set("X-Request-Id", id)
			answer, err := any(nil), fromHere(r)
			if err == nil {
				answer, err = call(r)
			}
			switch {
			case err != nil:
				problem(w, mfa.AsError(err), id)
			case answer == nil:
				w.WriteHeader(http.StatusNoContent)
			default:
				w.Header().Set("Content-Type", "application/json")
				encoder := json.NewEncoder(w)
				encoder.SetEscapeHTML(false)
				encoder.Encode(answer)
			}
		})
	}
	on("GET /local/outbox", e.getOutbox)
	on("DELETE /local/outbox", e.clearOutbox)
	on("GET /local/events", e.getEvents)
	on("GET /local/clock", func(*http.Request) (any, error) { return map[string]time.Time{"now": e.now()}, nil })
	on("POST /local/clock", e.moveClock)
	on("POST /local/sweep", func(r *http.Request) (any, error) {
		announced, err := e.sweep(r.Context())
		return map[string]int{"announced": announced}, err
	})
	on("POST /local/faults", e.setFault)
	on("POST /local/keys", e.createKey)
	return calls
}

func problem(w http.ResponseWriter, err *mfa.Error, id string) {
	i := slices.IndexFunc(api.Problems, func(p api.Explanation) bool { return p.Code == err.Code })
	about := api.Problems[i]
	detail := err.Detail
	if detail == "" {
		detail = about.Explanation
	}
	said := object{
		"type": "/problems/" + string(err.Code), "title": about.Title, "status": about.Status, "code": err.Code, "detail": detail, "request_id": id,
	}
	if err.Param != "" {
		said["param"] = err.Param
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(about.Status)
	json.NewEncoder(w).Encode(said)
}

// settle hands on what was committed before the call, in three tries.
func (e *Emulator) settle(r *http.Request) (err error) {
	ctx := context.WithoutCancel(r.Context())
	for range 3 {
		if err = e.trigger.drain(ctx); err == nil {
			return nil
		}
	}
	e.log.WarnContext(ctx, "events could not be handed on before a local call", "error", err)
	return err
}

func (e *Emulator) getOutbox(r *http.Request) (any, error) {
	to := r.URL.Query().Get("to")
	for name, values := range r.URL.Query() {
		if name != "to" || len(values) > 1 {
			return nil, invalid(name, "The query is to, once, or nothing.")
		}
	}
	e.settle(r) // a bus that can't be had keeps nobody from the messages that are there
	e.amazon.mu.Lock()
	defer e.amazon.mu.Unlock()
	found := []message{}
	for _, m := range e.amazon.messages {
		if to == "" || m.To == to {
			found = append(found, m)
		}
	}
	return map[string]any{"messages": found}, nil
}

func (e *Emulator) clearOutbox(r *http.Request) (any, error) {
	e.settle(r)
	e.amazon.mu.Lock()
	defer e.amazon.mu.Unlock()
	e.amazon.messages = nil
	return nil, nil
}

func (e *Emulator) getEvents(r *http.Request) (any, error) {
	if err := e.settle(r); err != nil {
		return nil, err
	}
	e.amazon.mu.Lock()
	defer e.amazon.mu.Unlock()
	return map[string]any{"events": append([]json.RawMessage{}, e.amazon.events...)}, nil
}

// moveClock moves the service's clock. A function reads it when it starts, so every process is replaced.
func (e *Emulator) moveClock(r *http.Request) (any, error) {
	var in struct {
		Advance *int64 `json:"advance_s"`
	}
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	if in.Advance == nil || *in.Advance < 0 || *in.Advance > math.MaxInt32-e.ahead.Load() {
		return nil, invalid("advance_s", "0 or more, and in all at most 68 years: the clock only moves forward.")
	}
	if *in.Advance > 0 {
		e.ahead.Add(*in.Advance)
		e.generation.Add(1)
	}
	return map[string]time.Time{"now": e.now()}, nil
}

func (e *Emulator) setFault(r *http.Request) (any, error) {
	var told fault
	if err := decode(r, &told); err != nil {
		return nil, err
	}
	switch {
	case !slices.Contains([]string{targetEmail, targetSMS, targetStore, targetKeys, targetEvents}, told.Target):
		return nil, invalid("target", "One of email, sms, store, keys, events.")
	case !slices.Contains([]string{modeFail, modeSlow, modeLostReply}, told.Mode) && (told.Mode != "" || told.Count != 0):
		return nil, invalid("mode", "One of fail, slow, lost_reply.")
	case told.Count < 0 || told.Count > mostFaults:
		return nil, invalid("count", "How many calls it is for, up to a million; 0 takes back what waits.")
	}
	e.faults.set(told)
	if told.Target == targetKeys {
		e.generation.Add(1) // a process that has the ring asks nobody for it
	}
	return told, nil
}

func (e *Emulator) createKey(r *http.Request) (any, error) {
	in := struct {
		Scopes []mfa.Scope `json:"scopes"`
		Org    *string     `json:"org"`
		Client string      `json:"client"`
	}{mfa.Scopes(), nil, Client}
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	key := mfa.NewKey{Client: in.Client, Scopes: in.Scopes, Origins: e.origins}
	if in.Org != nil {
		if *in.Org == "" {
			return nil, invalid("org", "An org's id, or null for every org.")
		}
		key.Org = *in.Org
	}
	made, err := e.own.CreateKey(r.Context(), key)
	if err != nil {
		return nil, err
	}
	return map[string]string{"key": made.Reveal()}, nil
}

var sweptLine = regexp.MustCompile(`"message":"swept".*?"announced":([0-9]+)`)

// sweep runs the sweep, as the scheduler does, and answers what it announced, which its log tells.
func (e *Emulator) sweep(ctx context.Context) (announced int, err error) {
	e.sweeping.Lock()
	defer e.sweeping.Unlock()
	before := e.sweeps.Load()
	event, err := json.Marshal(object{
		"version": "0", "id": rand.Text(), "detail-type": "Scheduled Event", "source": "aws.scheduler", "account": accountID,
		"time": e.now().Format(time.RFC3339), "region": region, "resources": []string{"arn:aws:scheduler:" + region + ":" + accountID + ":schedule/default/countersign-sweep"},
		"detail": "{}",
	})
	if err != nil {
		return 0, err
	}
	if _, err := e.pools["sweep"].invoke(ctx, event); err != nil {
		return 0, fmt.Errorf("sweep: %w", err)
	}
	return int(e.sweeps.Load() - before), nil
}

// schedule runs the sweep as often as the template says, by the machine's time.
func (e *Emulator) schedule(every time.Duration) {
	for pause(e.ctx, every) {
		if _, err := e.sweep(e.ctx); err != nil && e.ctx.Err() == nil {
			e.log.Warn("the sweep failed; it will be run again", "error", err)
		}
	}
}

// noteSwept adds up what the sweep's lines say.
func (e *Emulator) noteSwept(line []byte) {
	for _, m := range sweptLine.FindAllSubmatch(line, -1) {
		n, _ := strconv.ParseInt(string(m[1]), 10, 64)
		e.sweeps.Add(n)
	}
}

func invalid(param, detail string) error {
	return &mfa.Error{Code: mfa.InvalidRequest, Param: fmt.Sprintf("%.64s", param), Detail: detail}
}

// mostLocal is the most that a body of a local call may hold, in bytes.
const mostLocal = 64 << 10

func decode(r *http.Request, into any) error {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, mostLocal))
	if err != nil {
		return invalid("", "The body could not be read, or is over 64 KiB.")
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return &mfa.Error{Code: "unsupported_media_type", Detail: "A body is application/json."}
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return invalid("", "The body is no JSON object of this call's fields.")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return invalid("", "Something follows the body's JSON object.")
	}
	return nil
}

// fromHere refuses what was not addressed to this machine by name, and what a page of another origin asks for.
func fromHere(r *http.Request) error {
	origin := r.Header.Values("Origin")
	site := r.Header.Get("Sec-Fetch-Site")
	switch {
	case !loopback(r.Host):
		return &mfa.Error{Code: mfa.Forbidden, Detail: "Local calls answer at localhost only."}
	case site != "" && site != "same-origin" && site != "none", len(origin) > 1, len(origin) == 1 && origin[0] != "http://"+r.Host:
		return &mfa.Error{Code: mfa.Forbidden, Detail: "Pages of other sites can't make local calls."}
	}
	return nil
}

// loopback reports whether host, with or without a port, is this machine.
func loopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	address, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && address.Unmap().IsLoopback()
}
