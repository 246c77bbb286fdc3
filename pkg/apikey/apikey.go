// Package apikey is the registry of API keys. A [Registry] makes, lists and revokes them, and a [Grant] says what a key may do.
//
// An API key is a bearer token (package seal). Only its hash is stored, in two items that one Commit writes and one Commit
// deletes. The first item is found by the hash of the key, and every call reads it. Because one key can make more calls than a
// partition of the table can answer, there are copies of this item ([store.Copies]), and each call reads one of them. The
// second item is an entry in the list of all keys. The token itself also carries what the key may do, protected by a MAC. So a
// call that the key doesn't allow is refused before anything is read. The token and the first item must agree.
//
// The package guarantees that a revoked key is of no use in any process once its revocation has been answered, because no
// process caches keys, and because one Commit deletes all copies. The text of a key is returned by Create, and is stored
// nowhere.
//
// [Uses] notes on which days a key is used, at no cost to most calls.
//
// The package doesn't decide who makes a call. Package mfa does that: it reads the key together with everything else that the
// call needs.
package apikey

import (
	"slices"
	"time"

	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// A Scope is a group of calls that an API key may make. No scope includes another.
type Scope string

// The scopes.
const (
	SignIn Scope = "sign_in" // challenges and decisions
	Manage Scope = "manage"  // the accounts of users
	Admin  Scope = "admin"   // the policies and users of orgs
)

// Scopes returns all scopes. Every API key depends on their order, so a new scope must come last.
func Scopes() []Scope { return []Scope{SignIn, Manage, Admin} }

// A Grant says what an API key may do, and for which client.
type Grant struct {
	Client  string   `json:"client" record:"1"`
	Name    string   `json:"name,omitempty" record:"2"` // the name by which users know the client, of up to 64 bytes; may be empty
	Scopes  []Scope  `json:"scopes" record:"3"`
	Org     string   `json:"org,omitempty" record:"4"`     // the only org for which the key is valid; if it is empty, the key is valid for every org
	Origins []string `json:"origins,omitempty" record:"5"` // the origins (scheme, host and port) that a return_url may have
	Label   string   `json:"label,omitempty" record:"8"`   // what operators know the key by, such as where it is used, of up to 64 bytes; users never see it
}

// A Key is what is known about an existing API key. Its text isn't known: only the person to whom it was given has it.
type Key struct {
	ID string // "ak_" and the beginning of the hash of the key's text
	Grant
	Created time.Time

	epoch int64 // of the deployment, in which the key was last confirmed (see [seal.Ring.Epoch]); 0 if it never was
}

// Confirmed reports whether the key is good in this epoch of the deployment: it was made since the data was restored from a
// backup, or confirmed since. Otherwise it may be a key that was revoked, and that the backup brought back.
func (k *Key) Confirmed(deployment int64) bool {
	return k.epoch >= deployment || k.Created.Unix() >= deployment
}

// keyRecord is the body of all items of a key.
type keyRecord struct {
	record.Head
	Grant
	Created time.Time `json:"created" record:"6"`
	Epoch   int64     `json:"epoch,omitempty" record:"7"`
}

// Read decodes the item that the store has at [AnyCopy]. The result has no ID.
func Read(item store.Item) (Key, error) {
	var r keyRecord
	if err := record.Decode(item, &r); err != nil {
		return Key{}, err
	}
	return Key{Grant: r.Grant, Created: r.Created, epoch: r.Epoch}, nil
}

// Has reports whether the key has the scope.
func (g *Grant) Has(scope Scope) bool { return slices.Contains(g.Scopes, scope) }

// Covers reports whether the key is valid for the org.
func (g *Grant) Covers(org string) bool { return g.Org == "" || g.Org == org }

// AnyCopy returns where the store has one of the copies of the API key whose text has this hash (see [seal.HashBearer]). It
// returns another one each time, at random.
func AnyCopy(hash string) store.Key { return store.AnyCopy(at(hash)) }

// at returns where the first copy of an API key is.
func at(hash string) store.Key { return store.Key{Partition: keyPartition + hash, Sort: "key"} }

const (
	idPrefix = "ak_"
	idHash   = 12 // how many characters of the hash are in an id; they have 72 bits
)

// ID returns the id of the API key with this text. The key is listed and revoked by its id. The id isn't secret, because the
// text of the key can't be computed from it.
func ID(key seal.Secret) string { return idOf(seal.HashBearer(key.Reveal())) }

func idOf(hash string) string { return idPrefix + hash[:min(idHash, len(hash))] }
