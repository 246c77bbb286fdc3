package server

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"countersign/pkg/mfa"
)

// localCalls are the calls that only this server has. They need no key: see fromHere.
func (s *Server) localCalls() http.Handler {
	return door{
		"/local/outbox": {"GET": s.getOutbox, "DELETE": s.clearOutbox},
		"/local/events": {"GET": s.getEvents},
		"/local/clock":  {"GET": s.getClock, "POST": s.moveClock},
		"/local/sweep":  {"POST": s.runSweep},
		"/local/faults": {"POST": s.setFault},
		"/local/keys":   {"POST": s.createKey},
	}
}

// drainTries is how often a call that shows what came of commits tries to hand those on.
const drainTries = 3

// settle hands on what was committed before the call, trying again where the bus was told to fail. A caller who goes away
// doesn't end it: what is cut short would be handed on twice.
func (s *Server) settle(r *http.Request) (err error) {
	ctx := context.WithoutCancel(r.Context())
	for range drainTries {
		if err = s.drain(ctx); err == nil {
			return nil
		}
	}
	s.log.WarnContext(ctx, "events could not be handed on before a local call", "error", err)
	return err
}

func (s *Server) getOutbox(r *http.Request, _ []byte) (any, error) {
	query := r.URL.Query()
	to := query.Get("to")
	for name, values := range query {
		if name != "to" || len(values) > 1 {
			return nil, invalid(shortened(name), "The query is to, once, or nothing.")
		}
	}
	s.settle(r) // a bus that can't be had keeps nobody from the messages that are there
	return map[string]any{"messages": orNone(s.outbox.to(to))}, nil
}

func (s *Server) clearOutbox(r *http.Request, _ []byte) (any, error) {
	s.settle(r)
	return nil, s.outbox.clear()
}

func (s *Server) getEvents(r *http.Request, _ []byte) (any, error) {
	if err := s.settle(r); err != nil {
		return nil, err
	}
	return map[string]any{"events": orNone(s.bus.all())}, nil
}

// orNone is list, or the empty one in place of nil, which would be null on the wire.
func orNone[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func (s *Server) getClock(*http.Request, []byte) (any, error) {
	return map[string]time.Time{"now": s.clock.now()}, nil
}

func (s *Server) moveClock(_ *http.Request, body []byte) (any, error) {
	var seconds int64
	given, err := decode(body, map[string]any{"advance_s": &seconds})
	if err != nil {
		return nil, err
	}
	if !given["advance_s"] {
		return nil, invalid("advance_s", "The number of seconds to move the clock by is needed.")
	}
	switch err := s.clock.advance(seconds); {
	case errors.Is(err, errTooFar):
		return nil, invalid("advance_s", "0 or more, and in all at most 100 years: the clock only moves forward.")
	case err != nil:
		return nil, err
	}
	return map[string]time.Time{"now": s.clock.now()}, nil
}

func (s *Server) runSweep(r *http.Request, body []byte) (any, error) {
	if len(body) > 0 {
		if _, err := decode(body, nil); err != nil {
			return nil, err
		}
	}
	announced, err := sweepAll(r.Context(), s.service)
	if err != nil {
		return nil, err
	}
	return map[string]int{"announced": announced}, nil
}

func (s *Server) setFault(_ *http.Request, body []byte) (any, error) {
	var told fault
	given, err := decode(body, map[string]any{"target": &told.Target, "mode": &told.Mode, "count": &told.Count})
	if err != nil {
		return nil, err
	}
	clearing := given["count"] && told.Count == 0
	switch {
	case !slices.Contains([]string{targetEmail, targetSMS, targetStore, targetKeys, targetEvents}, told.Target):
		return nil, invalid("target", "One of email, sms, store, keys, events.")
	case !slices.Contains([]string{modeFail, modeSlow, modeLostReply}, told.Mode) && (given["mode"] || !clearing):
		return nil, invalid("mode", "One of fail, slow, lost_reply.")
	case !given["count"] || told.Count < 0 || told.Count > mostFaults:
		return nil, invalid("count", "How many calls it is for, up to a million; 0 takes back what waits.")
	}
	s.faults.set(told)
	return told, nil
}

func (s *Server) createKey(r *http.Request, body []byte) (any, error) {
	var scopes []mfa.Scope
	var org *string
	client := Client
	given, err := decode(body, map[string]any{"scopes": &scopes, "org": &org, "client": &client})
	if err != nil {
		return nil, err
	}
	if !given["scopes"] {
		scopes = mfa.Scopes()
	}
	key := mfa.NewKey{Client: client, Scopes: scopes, Origins: s.origins}
	if org != nil {
		if *org == "" {
			return nil, invalid("org", "An org's id, or null for every org.")
		}
		key.Org = *org
	}
	made, err := s.own.CreateKey(r.Context(), key)
	if err != nil {
		return nil, err
	}
	return map[string]string{"key": made.Reveal()}, nil
}
