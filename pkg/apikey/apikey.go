// Package apikey is the registry of API keys: it makes, lists and revokes them, and says what each of them may do.
//
// A key is a bearer (package seal). Only its hash is kept, in two items that one Commit writes and one Commit deletes: the
// key's own, by which each call looks it up, and its line in a list, without which nobody could say which keys there are.
// What a key may do is also carried by the bearer, under a MAC, so that a call which doesn't fit it is refused before
// anything is read. The item decides; the two must agree.
//
// What it keeps: a key is good until its revocation has been answered, and for nothing after that, in every process: none
// remembers keys. The text of a key is in the answer of Create and nowhere else.
//
// What it refuses to do: to say who the caller of a call is. That is for the domain, which reads the key beside all else
// that the call needs.
package apikey

import (
	"slices"
	"time"

	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// A Scope is what an API key may do. No scope includes another.
type Scope string

// The scopes.
const (
	SignIn Scope = "sign_in" // challenges and decisions
	Manage Scope = "manage"  // a user's account
	Admin  Scope = "admin"   // an org's policy and users
)

// Scopes gives all scopes. Their order is part of every key that was made: a new scope comes last.
func Scopes() []Scope { return []Scope{SignIn, Manage, Admin} }

// A Grant is what an API key is for.
type Grant struct {
	Client  string   `json:"client"`
	Name    string   `json:"name,omitempty"` // by which users know the client, up to 64 bytes; empty: the client has no name of its own
	Scopes  []Scope  `json:"scopes"`
	Org     string   `json:"org,omitempty"`     // the only org that it is good for; empty: every org
	Origins []string `json:"origins,omitempty"` // scheme, host and port that a return_url may have
}

// A Key is what can be told of an API key that exists. Its text can't: only the person to whom it was given has it.
type Key struct {
	ID string // ak_ and the beginning of the hash of the key's text
	Grant
	Created time.Time
}

// keyRecord is the body of both items of a key.
type keyRecord struct {
	record.Head
	Grant
	Created time.Time `json:"created"`
}

// Read gives the key that an item at At holds.
func Read(item store.Item) (Key, error) {
	var r keyRecord
	if err := record.Decode(item, &r); err != nil {
		return Key{}, err
	}
	return Key{Grant: r.Grant, Created: r.Created}, nil
}

// Has reports whether the key has a scope.
func (g *Grant) Has(scope Scope) bool { return slices.Contains(g.Scopes, scope) }

// Covers reports whether the key is good for an org.
func (g *Grant) Covers(org string) bool { return g.Org == "" || g.Org == org }

// At is where the store has the key whose text has this hash (seal.HashBearer).
func At(hash string) store.Key { return store.Key{Partition: "key#" + hash, Sort: "key"} }

const (
	idPrefix = "ak_"
	idHash   = 12 // letters of the hash in an id: 72 bits
)

// ID is the id by which the API key of this text is listed and revoked. It is not secret, and the key can't be found from it.
func ID(key seal.Secret) string { return idOf(seal.HashBearer(key.Reveal())) }

func idOf(hash string) string { return idPrefix + hash[:min(idHash, len(hash))] }
