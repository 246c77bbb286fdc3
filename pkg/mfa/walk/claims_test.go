package walk

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/fxamacker/cbor/v2"

	"countersign/pkg/mfa"
	"countersign/pkg/store"
)

// goodResponse reports whether the right response of c is still valid after what the other calls did.
func (e *ending) goodResponse(c *call) bool {
	return !e.changed(c) && !e.happened(sends, c) && !slices.ContainsFunc(e.calls, func(x *call) bool {
		return x != c && x.factor == c.factor && x.won > 0 && x.count >= c.count && c.count > 0
	})
}

// claimed reports whether the credential that c enrols was also enrolled by someone else.
func (e *ending) claimed(c *call) bool {
	return e.props.taken[c.credential] || slices.ContainsFunc(e.calls, func(x *call) bool {
		return x != c && x.kind == finishes && x.credential == c.credential && x.won > 0
	})
}

// counters returns an error if a call has changed the signature counters wrongly, from those in before to those in after.
func (c *call) counters(before, after *guardView, won bool) error {
	was := map[string]uint32{}
	for _, f := range before.Factors {
		was[f.ID] = f.SignCount
	}
	for _, f := range after.Factors {
		old, had := was[f.ID]
		own := won && c.signs && c.kind == verifies && f.ID == c.factor
		switch {
		case own && f.SignCount != c.count:
			return fmt.Errorf("I1: %s was accepted, and the guard holds the counter %d", c.what, f.SignCount)
		case own && f.SignCount <= old && f.SignCount+old > 0:
			return fmt.Errorf("I1: %s was accepted after the counter %d", c.what, old)
		case had && !own && f.SignCount != old:
			return fmt.Errorf("I1: %s has changed the counter of a key from %d to %d", c.what, old, f.SignCount)
		}
	}
	return nil
}

// credentials returns an error unless each credential id belongs to at most one of the factors that guards list, and that
// factor has claimed it.
func (s *schedule) credentials() error {
	lists, claims, owners := map[string]bool{}, map[string]store.Item{}, map[string]string{}
	var keys []store.Item
	for _, item := range s.model.Items() {
		switch recordOf(item.Key) {
		case "guard":
			for _, f := range s.show(item).guard.Factors {
				lists[f.ID] = true
			}
		case "credentialOwner":
			claims[item.Key.Partition] = item
		case "factorRecord":
			keys = append(keys, item)
		}
	}
	for _, item := range keys {
		f := s.show(item).key
		if f.Credential == "" || !lists[f.ID] {
			continue
		}
		at := claimKey(f.Credential).Partition
		if owners[at] != "" {
			return fmt.Errorf("I1: one credential id belongs to two factors")
		}
		owners[at] = f.ID
		claim, ok := claims[at]
		if !ok || s.show(claim).key.Owner != f.ID || claim.Version != f.ClaimedBy {
			return fmt.Errorf("I1: a factor has not claimed its credential id")
		}
	}
	return nil
}

// keyView is what the tests read from the record of a factor, or from the record of who has claimed a credential id.
type keyView struct {
	ID         string        `json:"id"`
	Kind       mfa.Kind      `json:"kind"`
	ClaimedBy  store.Version `json:"claimed_by"`
	Owner      string        `json:"factor"`
	Credential string        `json:"-"` // the id of the passkey, of which ctl show prints only the length
}

// These are the numbers of the passkey in the record of a factor, and of the id in a passkey.
const (
	passkeyNumber      = 8
	credentialIDNumber = 1
)

// read reads the credential id from the body of the record.
func (v *keyView) read(body []byte) error {
	if v.Kind != mfa.WebAuthn {
		return nil
	}
	var kept, passkey map[uint64]cbor.RawMessage
	var id []byte
	err := errors.Join(cbor.Unmarshal(body, &kept), cbor.Unmarshal(kept[passkeyNumber], &passkey), cbor.Unmarshal(passkey[credentialIDNumber], &id))
	v.Credential = base64.RawURLEncoding.EncodeToString(id)
	return err
}
