package mfa

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"time"

	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// A trusted browser is a line of tokens. The token of a generation is an HMAC of line and generation, so that it is
// stored nowhere and can be given again when an answer was lost. With rotation, using the newest generation makes the
// next. The one before it goes on giving the same successor until that successor has been used. Anything older is
// known to have been copied: it kills the line.

// expiredFor is how long an ended browser is remembered, to say trust_expired instead of new_browser.
const expiredFor = 30 * 24 * time.Hour

// expiry says when trust in b ends, under all policies since it was granted, and whether a policy took it away.
func (b *browser) expiry(p *orgPolicy) (ends time.Time, taken bool) {
	ends = b.Ends
	for _, t := range p.Tightenings {
		switch {
		case b.PolicyVersion >= t.Version:
		case t.Kind == "" && t.Days == 0:
			taken = true
		case t.Kind == "":
			if e := b.Created.Add(time.Duration(t.Days) * 24 * time.Hour); e.Before(ends) {
				ends = e
			}
		case t.Kind == b.Kind:
			taken = true
		}
	}
	return ends, taken
}

// counts reports whether b may spare its user the question.
func (b *browser) counts(epoch string, p *orgPolicy, now time.Time) bool {
	ends, taken := b.expiry(p)
	return b.Epoch == epoch && !taken && now.Before(ends)
}

// What a browser's token carries: the random part of the line's id, and the generation.
const (
	linePrefix = "tb_"
	lineLen    = seal.IDRandom
)

// facts are all that the token of a generation is bound to.
func (b *browser) facts(g *guard, generation uint32) []string {
	return []string{g.Org, g.User, b.ID, b.Epoch, strconv.FormatUint(uint64(generation), 10)}
}

// signToken is the text of the line's newest generation.
func (b *browser) signToken(ring *seal.Ring, g *guard) (seal.Secret, error) {
	carried, err := base64.RawURLEncoding.DecodeString(b.ID[len(linePrefix):])
	if err != nil {
		return seal.Secret{}, err
	}
	carried = binary.BigEndian.AppendUint32(carried, b.Generation)
	return seal.TrustToken.Make(ring, b.Key, carried, b.facts(g, b.Generation)...)
}

// What a token that came with a sign-in turned out to be.
type trustVerdict int

const (
	noTrust      trustVerdict = iota // none, not this user's, altered, revoked
	trustExpired                     // genuine, and its end has passed
	trustGood                        // the newest of its line
	trustEarlier                     // the one before the newest, which nobody has used yet
	trustStolen                      // older: somebody has a copy
)

// checkTrust looks up the browser of a token and says what the token is worth.
func (u *unit) checkTrust(a *account, token seal.Secret, p *orgPolicy) (trustVerdict, *browser, error) {
	t, ok := seal.TrustToken.Parse(token)
	if !ok || a.guard == nil {
		return noTrust, nil, nil
	}
	generation := binary.BigEndian.Uint32(t.Carried[lineLen:])
	h := a.browser(linePrefix + b64(string(t.Carried[:lineLen])))
	if h == nil || h.Epoch != a.guard.browserEpoch() || generation > h.Generation {
		return noTrust, nil, nil
	}
	genuine, err := t.Check(u.ring, h.facts(a.guard, generation)...)
	switch {
	case errors.Is(err, seal.ErrUnknownKey) && u.reloaded:
		return noTrust, nil, nil // no ring of ours has that key: an altered token must not keep its bearer out
	case err != nil:
		return noTrust, nil, err
	case !genuine:
		return noTrust, nil, nil
	case h.Generation-generation > 1:
		return trustStolen, h, nil
	}
	ends, taken := h.expiry(p)
	switch {
	case taken, !u.now.Before(ends.Add(expiredFor)):
		return noTrust, nil, nil
	case !u.now.Before(ends):
		return trustExpired, h, nil
	case generation == h.Generation:
		return trustGood, h, nil
	}
	return trustEarlier, h, nil
}

func (a *account) browser(id string) *browser {
	for _, b := range a.browsers {
		if b.ID == id {
			return b
		}
	}
	return nil
}

// mostEnded is how many lines one commit ends: where a policy's cap fell far, the next grants end the rest.
const mostEnded = 15

// trust begins a line for the browser that just answered, ends the oldest ones over the cap, and notes when the new
// one's end is to be announced.
func (u *unit) trust(a *account, name string, kind Kind, p *orgPolicy) *browser {
	b := &browser{
		ID: seal.ID(linePrefix, nil), Epoch: a.guard.browserEpoch(), Name: name, Kind: kind, PolicyVersion: p.Version,
		Created: u.now, Ends: u.now.Add(time.Duration(p.Trust.Days) * 24 * time.Hour), LastUsed: u.now,
		Generation: 1, Key: u.ring.Newest(),
	}
	var lives []*browser
	for _, h := range a.browsers {
		if h.counts(a.guard.browserEpoch(), p, u.now) {
			lives = append(lives, h)
		}
	}
	for ended := 0; len(lives) >= p.Trust.Cap && ended < mostEnded; ended, lives = ended+1, lives[1:] {
		for i, h := range lives {
			if h.Created.Before(lives[0].Created) {
				lives[0], lives[i] = h, lives[0]
			}
		}
		u.endBrowser(lives[0], a.guard, "cap", p.Version)
	}
	u.put(store.Item{Key: browserKey(a.route, b.ID)}, b, b.Ends.Add(expiredFor))
	u.put(store.Item{Key: expiryEntryKey(a.route, b)}, &expiryEntry{
		Route: []byte(a.route), Browser: b.ID, Epoch: b.Epoch, Due: b.Ends,
	}, b.Ends.Add(expiredFor))
	u.event(a.event(BrowserTrusted, p, map[string]any{"browser": b.ID, "expires": b.Ends}).by(userActor(a.guard.User)))
	a.browsers = append(a.browsers, b)
	return b
}

// endBrowser ends one line before its time. The guard is in the same commit and carries the event.
func (u *unit) endBrowser(h *browser, g *guard, cause string, policyVersion int) {
	u.delete(h.Item)
	u.event(g.event(BrowserRevoked, policyVersion, map[string]any{"browser": h.ID, "cause": cause}))
}

const (
	mostForgotten = 5              // dead lines that one commit removes
	mostExpired   = 10             // ended lines that are kept, the newest, to say trust_expired
	announcedIn   = 48 * time.Hour // the sweep has announced an end by then, and needs its line until it has
)

// forget removes a few lines that are good for nothing any more, in a commit that writes the guard anyway: those that were
// dead when they were read, and of those that ended by themselves all but the newest. Otherwise every call of the user would
// read them for 30 days after their end.
func (u *unit) forget(a *account, p *orgPolicy) {
	var ended []*browser
	var dead []store.Item
	for _, h := range a.browsers {
		ends, taken := h.expiry(p)
		switch {
		case h.Item.Absent(): // this commit makes it
		case h.Epoch != a.browserEpoch, taken:
			dead = append(dead, h.Item)
		case u.now.Sub(ends) >= announcedIn:
			ended = append(ended, h)
		}
	}
	slices.SortFunc(ended, func(x, y *browser) int { return y.Ends.Compare(x.Ends) })
	for _, h := range ended[min(len(ended), mostExpired):] {
		dead = append(dead, h.Item)
	}
	room := min(mostForgotten, store.MaxWrites-leftForOthers-len(u.writes))
	for _, item := range dead {
		if room <= 0 {
			return
		}
		if !slices.ContainsFunc(u.writes, func(w store.Write) bool { return w.Key == item.Key }) {
			u.delete(item)
			room--
		}
	}
}

// leftForOthers is how many writes a commit may still plan after the guard's: a challenge, a factor, a remembered answer.
const leftForOthers = 5

// endAll gives the user a new epoch, which kills every line, open challenge, enrolment and proof in the guard's own
// write. It answers how many lines that ended.
func (u *unit) endAll(a *account, p *orgPolicy, cause string) int {
	n := u.endTrust(a, p, cause)
	a.guard.renew()
	return n
}

// endTrust ends every line in the guard's own write, and nothing else. It answers how many that were.
func (u *unit) endTrust(a *account, p *orgPolicy, cause string) (ended int) {
	for _, h := range a.browsers {
		if h.counts(a.guard.browserEpoch(), p, u.now) {
			ended++
			u.event(a.event(BrowserRevoked, p, map[string]any{"browser": h.ID, "cause": cause}))
		}
	}
	a.guard.TrustEpoch = newEpoch()
	return ended
}

// A TrustedBrowser is a browser as its user and the client see it.
type TrustedBrowser struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Created  time.Time `json:"created"`
	LastUsed time.Time `json:"last_used"`
	Expires  time.Time `json:"expires"`
}

func (b *browser) shown(p *orgPolicy) *TrustedBrowser {
	ends, _ := b.expiry(p)
	return &TrustedBrowser{ID: b.ID, Name: b.Name, Created: b.Created, LastUsed: b.LastUsed, Expires: ends}
}

// rotate gives the browser its next token, where the policy has tokens rotate.
func (u *unit) rotate(answer *StartAnswer, g *guard, v *verdict, p *orgPolicy) error {
	b := v.browser
	if v.trust == trustGood {
		if !p.Trust.Rotate {
			return nil
		}
		b.Generation++
		b.Key = u.ring.Newest()
		b.LastUsed = u.now
		u.put(b.Item, b, b.Ends.Add(expiredFor))
	}
	token, err := b.signToken(u.ring, g)
	if err != nil {
		return err
	}
	answer.TrustToken = &token
	return nil
}

// theft kills a line whose old token came back after its successor was used, and tells the user. It changes the guard.
func (u *unit) theft(a *account, h *browser, p *orgPolicy) {
	u.delete(h.Item)
	a.guard.endKnownTokens()
	u.event(a.event(BrowserTheft, p, map[string]any{"browser": h.ID}).by(serviceActor))
}

// A browser that is trusted: one line of tokens, of which generation Generation is the newest.
type browser struct {
	record.Head
	ID            string    `json:"id"` // tb_…
	Epoch         string    `json:"epoch"`
	Name          string    `json:"name,omitempty"`
	Kind          Kind      `json:"kind"` // of the factor that earned it
	PolicyVersion int       `json:"policy_version"`
	Created       time.Time `json:"created"`
	Ends          time.Time `json:"ends"` // fixed when it was granted
	LastUsed      time.Time `json:"last_used"`
	Generation    uint32    `json:"generation"`
	Key           string    `json:"key"` // ring key of the newest token
}
