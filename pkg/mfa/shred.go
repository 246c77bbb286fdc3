package mfa

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"countersign/pkg/seal"
)

// What the activity says of a user lies encrypted under a key that is in the user's guard and nowhere else. Without the
// guard nobody can read it, so erasing the user erases it at once, on every page it was filed on, and no page is looked
// for or written again. The key is no secret of the ring: filing needs neither the ring nor KMS.
//
// The time from a guard's making to its erasure is a life. An event names the life it is of, so that what is handed on
// after an erasure is not filed under the key of a user who was made again under the same id.

const activityKeyLen = 32 // bytes: AES-256

func newActivityKey() []byte {
	key := make([]byte, activityKeyLen)
	rand.Read(key)
	return key
}

// life names the guard's life and tells nothing of its key.
func (g *guard) life() string {
	sum := sha256.Sum256(seal.Join("life of an activity key", string(g.Activity)))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// personal is what an event says of its user.
type personal struct {
	User  string         `json:"user"`
	Actor Actor          `json:"actor"`
	Data  map[string]any `json:"data"`
}

// nameless is what is left of an event about a user when nothing of the user is: that it happened, and when. It names
// who did it only where that was a client, or the service.
func (e Event) nameless() Event {
	if e.Actor.Kind != "client" && e.Actor.Kind != "service" {
		e.Actor.ID = ""
	}
	e.User, e.Data = "", map[string]any{}
	return e
}

// hide seals what e says of its user into the entry, for whoever has the guard.
func (g *guard) hide(r route, e *Event, into *entry) error {
	text, err := json.Marshal(personal{e.User, e.Actor, e.Data})
	if err != nil {
		return err
	}
	aead, err := g.activityAEAD()
	if err != nil {
		return err
	}
	into.Of = b64(string(r[16:]))
	into.Sealed = aead.Seal(nil, nil, text, into.bound())
	return nil
}

// reveal puts what the entry says of its user back into e. It reports false, and does nothing, where the entry wasn't
// sealed under g: the user was erased, and made again.
func (g *guard) reveal(from *entry, e *Event) bool {
	aead, err := g.activityAEAD()
	if err != nil {
		return false
	}
	text, err := aead.Open(nil, nil, from.Sealed, from.bound())
	if err != nil {
		return false
	}
	s := personal{e.User, e.Actor, e.Data}
	if err := json.Unmarshal(text, &s); err != nil {
		return false
	}
	e.User, e.Actor, e.Data = s.User, s.Actor, s.Data
	return true
}

func (g *guard) activityAEAD() (cipher.AEAD, error) {
	block, err := aes.NewCipher(g.Activity)
	if err != nil {
		return nil, fmt.Errorf("key of a user's activity: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// bound is what a sealed part is bound to: its user, and the rest of its entry.
func (e *entry) bound() []byte { return seal.Join("activity", e.Of, string(e.Body)) }

// route is that of the user whom the entry is about, in the org of any route of it.
func (e *entry) route(org route) route {
	user, err := base64.RawURLEncoding.DecodeString(e.Of)
	if err != nil {
		return ""
	}
	return org[:16] + route(user)
}

// readGuards reads the guards of routes side by side. Of who isn't there there is none.
func (s *Service) readGuards(ctx context.Context, routes map[route]bool) (map[route]*guard, error) {
	var reads []read
	found := map[route]*guard{}
	held := make([]account, 0, len(routes))
	for r := range routes {
		held = append(held, account{route: r})
		a := &held[len(held)-1]
		reads = append(reads, s.readItem(guardKey(r), &a.item))
	}
	if err := side(ctx, reads...); err != nil {
		return nil, fmt.Errorf("read the guards of %d users: %w", len(routes), err)
	}
	for i := range held {
		if held[i].item.Absent() {
			continue
		}
		if err := held[i].take(held[i].item); err != nil {
			return nil, err
		}
		found[held[i].route] = held[i].guard
	}
	return found, nil
}
