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

// A trusted browser has a token, in generations. The token of a generation is an HMAC over the browser and the generation. So
// it is stored nowhere, and can be given again when an answer was lost. If the policy has tokens rotate, using the newest
// generation makes the next one. The generation before the newest gives the newest again until that one has been used. If an
// older one is used, somebody has a copy of it, and trust in the browser ends.

// expiredFor is how long a browser is kept after its end, so that a sign-in can say trust_expired instead of new_browser.
const expiredFor = 30 * 24 * time.Hour

// expiry returns when trust in b ends, under all policies since it was granted, and whether one of them took it away.
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

// counts reports whether a sign-in with b needs no answer.
func (b *browser) counts(epoch string, p *orgPolicy, now time.Time) bool {
	ends, taken := b.expiry(p)
	return b.Epoch == epoch && !taken && now.Before(ends)
}

// A browser's token carries the random part of the browser's id, and the generation.
const (
	browserPrefix = "tb_"
	browserLen    = seal.IDRandom
)

// facts returns what the token of a generation is bound to.
func (b *browser) facts(g *guard, generation uint32) []string {
	return []string{g.Org, g.User, b.ID, b.Epoch, strconv.FormatUint(uint64(generation), 10)}
}

// signToken makes the token of the newest generation.
func (b *browser) signToken(ring *seal.Ring, g *guard) (seal.Secret, error) {
	carried, err := base64.RawURLEncoding.DecodeString(b.ID[len(browserPrefix):])
	if err != nil {
		return seal.Secret{}, err
	}
	carried = binary.BigEndian.AppendUint32(carried, b.Generation)
	return seal.TrustToken.Make(ring, b.Key, carried, b.facts(g, b.Generation)...)
}

// A trustVerdict says what a token is worth that came with a sign-in.
type trustVerdict int

const (
	noTrust      trustVerdict = iota // there is no token, or it is another user's, altered or revoked
	trustExpired                     // it is genuine, and its end has passed
	trustGood                        // it is of the newest generation
	trustEarlier                     // it is of the generation before, and the newest has not been used yet
	trustStolen                      // it is older: somebody has a copy
)

// checkTrust finds the browser of a token, and says what the token is worth.
func (u *unit) checkTrust(a *account, token seal.Secret, p *orgPolicy) (trustVerdict, *browser, error) {
	t, ok := seal.TrustToken.Parse(token)
	if !ok || a.guard == nil {
		return noTrust, nil, nil
	}
	generation := binary.BigEndian.Uint32(t.Carried[browserLen:])
	b := a.browser(browserPrefix + b64(string(t.Carried[:browserLen])))
	if b == nil || b.Epoch != a.guard.browserEpoch() || generation > b.Generation {
		return noTrust, nil, nil
	}
	genuine, err := t.Check(u.ring, b.facts(a.guard, generation)...)
	switch {
	case errors.Is(err, seal.ErrUnknownKey) && u.reloaded:
		return noTrust, nil, nil // the reloaded ring doesn't have that key either: a user with an altered token is asked
	case err != nil:
		return noTrust, nil, err
	case !genuine:
		return noTrust, nil, nil
	case b.Generation-generation > 1:
		return trustStolen, b, nil
	}
	ends, taken := b.expiry(p)
	switch {
	case taken, !u.now.Before(ends.Add(expiredFor)):
		return noTrust, nil, nil
	case !u.now.Before(ends):
		return trustExpired, b, nil
	case generation == b.Generation:
		return trustGood, b, nil
	}
	return trustEarlier, b, nil
}

func (a *account) browser(id string) *browser {
	for _, b := range a.browsers {
		if b.ID == id {
			return b
		}
	}
	return nil
}

// mostEnded is how many browsers one commit ends. If a policy has lowered the cap by more, the next grants end the rest.
const mostEnded = 15

// trust begins to trust the browser that has just answered. It ends the oldest browsers over the cap, and puts an expiry
// entry, so that the end of the new one is announced.
func (u *unit) trust(a *account, name string, kind Kind, p *orgPolicy) *browser {
	b := &browser{
		ID: seal.ID(browserPrefix, nil), Epoch: a.guard.browserEpoch(), Name: name, Kind: kind, PolicyVersion: p.Version,
		Created: u.now, Ends: u.now.Add(time.Duration(p.Trust.Days) * 24 * time.Hour), LastUsed: u.now,
		Generation: 1, Key: u.ring.Newest(),
	}
	var trusted []*browser
	for _, old := range a.browsers {
		if old.counts(a.guard.browserEpoch(), p, u.now) {
			trusted = append(trusted, old)
		}
	}
	for ended := 0; len(trusted) >= p.Trust.Cap && ended < mostEnded; ended, trusted = ended+1, trusted[1:] {
		for i, old := range trusted {
			if old.Created.Before(trusted[0].Created) {
				trusted[0], trusted[i] = old, trusted[0]
			}
		}
		u.endBrowser(trusted[0], a.guard, "cap", p.Version)
	}
	u.put(store.Item{Key: browserKey(a.route, b.ID)}, b, b.Ends.Add(expiredFor))
	u.put(store.Item{Key: expiryEntryKey(a.route, b)}, &expiryEntry{
		Route: []byte(a.route), Browser: b.ID, Epoch: b.Epoch, Due: b.Ends,
	}, b.Ends.Add(expiredFor))
	u.event(a.event(BrowserTrusted, p, map[string]any{"browser": b.ID, "expires": b.Ends}).by(userActor(a.guard.User)))
	a.browsers = append(a.browsers, b)
	return b
}

// endBrowser ends trust in one browser before its time. The guard is in the same commit and carries the event.
func (u *unit) endBrowser(b *browser, g *guard, cause string, policyVersion int) {
	u.delete(b.Item)
	u.event(g.event(BrowserRevoked, policyVersion, map[string]any{"browser": b.ID, "cause": cause}))
}

const (
	mostForgotten = 5              // how many browsers that don't count any more one commit removes
	mostExpired   = 10             // how many browsers whose time is over are kept, the newest ones, to say trust_expired
	announcedIn   = 48 * time.Hour // how long after an end the sweep, which needs the browser's item, has surely announced it
)

// forget removes a few browsers that are good for nothing any more, in a commit that writes the guard anyway: those in which
// trust had been ended when they were read and, of those whose time is over, all but the newest. Otherwise every call of the
// user would read them for 30 days after their end.
func (u *unit) forget(a *account, p *orgPolicy) {
	var ended []*browser
	var dead []store.Item
	for _, b := range a.browsers {
		ends, taken := b.expiry(p)
		switch {
		case b.Item.Absent(): // this commit makes it
		case b.Epoch != a.browserEpoch, taken:
			dead = append(dead, b.Item)
		case u.now.Sub(ends) >= announcedIn:
			ended = append(ended, b)
		}
	}
	slices.SortFunc(ended, func(x, y *browser) int { return y.Ends.Compare(x.Ends) })
	for _, b := range ended[min(len(ended), mostExpired):] {
		dead = append(dead, b.Item)
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

// causeRevoked is the cause of what ends because trust was revoked.
const causeRevoked = "revoked"

// endAll gives the user a new epoch. With the guard's own write that kills every trusted browser, open challenge, enrolment
// and proof, and ends all sessions. It returns how many browsers it ended.
func (u *unit) endAll(a *account, p *orgPolicy, cause string) int {
	n := u.endTrust(a, p, cause)
	u.dropReset(a, p, cause)
	a.guard.renew()
	u.endSessions(a, p, cause)
	return n
}

// endTrust ends trust in every browser with the guard's own write, and nothing else. It returns how many browsers it ended.
func (u *unit) endTrust(a *account, p *orgPolicy, cause string) (ended int) {
	for _, b := range a.browsers {
		if b.counts(a.guard.browserEpoch(), p, u.now) {
			ended++
			u.event(a.event(BrowserRevoked, p, map[string]any{"browser": b.ID, "cause": cause}))
		}
	}
	a.guard.TrustEpoch = newEpoch()
	return ended
}

// A TrustedBrowser is a trusted browser as its user and the client see it.
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

// rotate gives the browser its next token, if the policy has tokens rotate.
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

// theft ends trust in a browser whose old token came back after its successor was used, and tells the user. It changes the
// guard.
func (u *unit) theft(a *account, b *browser, p *orgPolicy) {
	u.delete(b.Item)
	a.guard.endKnownTokens()
	u.event(a.event(BrowserTheft, p, map[string]any{"browser": b.ID}).by(serviceActor))
}

// A browser is one that is trusted. Its newest token is of the generation Generation.
type browser struct {
	record.Head
	ID            string    `json:"id" record:"1,id=tb_"`
	Epoch         string    `json:"epoch" record:"2,word"` // the guard's epoch, or its TrustEpoch if it has one
	Name          string    `json:"name" record:"3"`
	Kind          Kind      `json:"kind" record:"4"`           // the kind of the factor that earned trust
	PolicyVersion int       `json:"policy_version" record:"5"` // the policy under which trust was granted
	Created       time.Time `json:"created" record:"6"`
	Ends          time.Time `json:"ends" record:"7"` // fixed when trust was granted
	LastUsed      time.Time `json:"last_used" record:"8"`
	Generation    uint32    `json:"generation" record:"9"`
	Key           string    `json:"key" record:"10,word"` // the id of the key in the ring that the newest token is made with
}
