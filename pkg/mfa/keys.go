package mfa

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// A KeyLine is what can be told of an API key. The key itself can't: nobody has it but who it was given to.
type KeyLine struct {
	ID      string // ak_ and the beginning of the key's hash
	Client  string
	Name    string // that users know the client by; empty: it has none of its own
	Scopes  []Scope
	Org     string // empty: every org
	Origins []string
	Created time.Time
}

const (
	keyIDPrefix = "ak_"
	keyIDHash   = 12 // letters of the hash in an id: 72 bits
	revokedFor  = time.Hour
)

// KeyID is the id by which an API key is listed and revoked. It is no secret, and the key can't be found from it.
func KeyID(key seal.Secret) string { return keyID(seal.HashBearer(key.Reveal())) }

func keyID(hash string) string { return keyIDPrefix + hash[:min(keyIDHash, len(hash))] }

// keysPartition has a line for each API key, written and deleted by the commits that write and delete the key: keys are
// looked up by their hash, and without their lines nobody could say which there are.
const keysPartition = "keys"

func keyLineKey(hash string) store.Key { return store.Key{Partition: keysPartition, Sort: hash} }

func revokedKey(hash string) store.Key {
	return store.Key{Partition: apiKeyKey(hash).Partition, Sort: "revoked"}
}

// revoked stands where an API key was. It says nothing; a revocation whose answer was lost is known again by it.
type revoked struct{ record.Head }

// ListKeys tells which API keys there are, in no order that means anything.
func (s *Service) ListKeys(ctx context.Context) ([]KeyLine, error) {
	items, err := s.keyLines(ctx, "")
	if err != nil {
		return nil, err
	}
	lines := make([]KeyLine, 0, len(items))
	for _, item := range items {
		line, err := keyLine(item)
		if err != nil {
			return nil, AsError(err)
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// RevokeKey ends an API key, by its id, and answers what it was. From then on the key is good for nothing, in every
// process: none remembers keys. Challenges that were begun with it can still be answered with their own tokens.
// One that isn't there, or no longer, is NotFound.
func (s *Service) RevokeKey(ctx context.Context, id string) (KeyLine, error) {
	prefix, ok := strings.CutPrefix(id, keyIDPrefix)
	if !ok || len(prefix) != keyIDHash {
		return KeyLine{}, invalid("id", "The id of an API key is %s and %d letters, as they are listed.", keyIDPrefix, keyIDHash)
	}
	u := &unit{s: s}
	for try := 1; try <= mostTries; try++ {
		line, err := s.revokeKey(ctx, u, prefix)
		if !isConflict(err) {
			return line, err
		}
		if err := s.pause(ctx, try); err != nil {
			return KeyLine{}, AsError(err)
		}
	}
	return KeyLine{}, refuse(Busy, "Too many calls at once for this key; try again.")
}

// revokeKey tries once. It answers store.ErrConflict as it is.
func (s *Service) revokeKey(ctx context.Context, u *unit, prefix string) (KeyLine, error) {
	u.begin(nil)
	found, err := s.keyLines(ctx, prefix)
	switch {
	case err != nil:
		return KeyLine{}, err
	case len(found) == 0:
		return KeyLine{}, refuse(NotFound, "There is no API key of this id.")
	case len(found) > 1: // one in 2^72
		return KeyLine{}, invalid("id", "Several API keys have this id.")
	}
	line, err := keyLine(found[0])
	if err != nil {
		return KeyLine{}, AsError(err)
	}
	hash := found[0].Key.Sort
	key, err := s.Store.Get(ctx, apiKeyKey(hash))
	if err != nil {
		return KeyLine{}, AsError(err)
	}
	u.put(store.Item{Key: revokedKey(hash)}, &revoked{}, u.now.Add(revokedFor))
	u.delete(found[0])
	if !key.Absent() {
		u.delete(key)
	}
	if err := u.commit(ctx); err != nil {
		if isConflict(err) {
			return KeyLine{}, err
		}
		return KeyLine{}, AsError(err)
	}
	return line, nil
}

// keyLines reads the lines of the keys whose hash begins with prefix.
func (s *Service) keyLines(ctx context.Context, prefix string) (found []store.Item, err error) {
	q := store.Query{Partition: keysPartition, Prefix: prefix}
	for more := true; more; {
		page, err := s.Store.Query(ctx, q)
		if err != nil {
			return nil, AsError(err)
		}
		found = append(found, page.Items...)
		q.After, more = page.Last, page.More
	}
	return found, nil
}

func keyLine(item store.Item) (KeyLine, error) {
	var k apiKey
	if err := record.Decode(item, &k); err != nil {
		return KeyLine{}, fmt.Errorf("list API keys: %w", err)
	}
	return KeyLine{
		ID: keyID(item.Key.Sort), Client: k.Client, Name: k.Name, Scopes: k.Scopes, Org: k.Org, Origins: k.Origins, Created: k.Created,
	}, nil
}

// CheckOrigin answers InvalidRequest for what no browser calls an origin (RFC 6454 section 6.2), and for those that anybody
// on the way could be: plain http, but on this machine.
func CheckOrigin(origin string) error {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Hostname() == "" || origin != u.Scheme+"://"+strings.ToLower(u.Host) ||
		u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())) {
		return invalid("origins", "An origin is https://, a host in lower case and perhaps a port, and nothing after them; "+
			"http:// is for this machine only.")
	}
	return nil
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}
