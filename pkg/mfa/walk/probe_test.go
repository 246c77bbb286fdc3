package walk

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/storetest"
)

// aside returns the service over a copy of the store, with a clock that is later by this much. So its calls leave no trace.
func (e *ending) aside(later time.Duration) (*mfa.Service, *storetest.Model) {
	clock := storetest.NewClock(e.clock.Now().Add(later))
	model := e.model.Clone(clock.Now)
	s := *e.props.Service
	s.Store, s.Now = model, clock.Now
	return &s, model
}

// A probe finds out at the end whether something would still let its user in.
func (e *ending) probe(user string, later time.Duration, ask func(*mfa.Service, opened) (bool, error)) (in bool, err error) {
	s, _ := e.aside(later)
	started, err := s.StartChallenge(context.Background(), e.props.Client, signingIn(user))
	if err != nil || started.Challenge == nil {
		return false, err
	}
	return ask(s, opened{user: user, id: started.Challenge.ID})
}

// recovered reports whether a recovery code is still accepted, after the end of every lock.
func (e *ending) recovered(user string, code seal.Secret) (in bool, err error) {
	g := e.guards[user]
	known := fmt.Sprint(user, code.Reveal(), g.Recovery, g.digests, len(g.Factors))
	if in, ok := e.props.tried[known]; ok {
		return in, nil
	}
	in, err = e.probe(user, 20*time.Minute, func(s *mfa.Service, o opened) (bool, error) {
		_, err := s.Recover(context.Background(), e.props.Client, mfa.RecoverRequest{Challenge: o.id, Code: code})
		return err == nil, nil
	})
	e.props.tried[known] = in
	return in, err
}

// knows reports whether a sign-in with a known token counts as one in a known browser.
func (e *ending) knows(user string, token seal.Secret) (bool, error) {
	s, model := e.aside(0)
	started, err := s.StartChallenge(context.Background(), e.props.Client, knowing(token, signingIn(user)))
	if err != nil {
		return false, err
	}
	item, err := store.GetOne(context.Background(), model, store.Key{Partition: started.Challenge.ID, Sort: "challenge"})
	if err != nil {
		return false, err
	}
	shown, err := mfa.ShowItem(item)
	if err != nil {
		return false, err
	}
	var begun struct {
		KnownBrowser bool `json:"known_browser"`
	}
	err = json.Unmarshal(shown, &begun)
	return begun.KnownBrowser, err
}
