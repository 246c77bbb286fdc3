package mfa

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// recordAt returns an empty record of the kind that this package keeps at the key. It is nil if the package keeps nothing
// there.
func recordAt(key store.Key) record.Record {
	kind, _, _ := strings.Cut(key.Sort, "#")
	switch partition, _, _ := strings.Cut(key.Partition, "#"); {
	case partition == "u" && kind == "guard":
		return &guard{}
	case partition == "u" && kind == "browser":
		return &browser{}
	case partition == "u" && kind == "factor":
		return &factorRecord{}
	case partition == "u" && kind == "enrolment":
		return &enrolment{}
	case partition == "u" && kind == "imports":
		return &importMarks{}
	case partition == "u" && kind == "erased":
		return &erased{}
	case strings.HasPrefix(partition, "ch_") && kind == "challenge":
		return &challenge{}
	case partition == "org" && kind == "policy":
		return &orgPolicy{}
	case partition == "reset":
		return &resetRecord{}
	case partition == "handle" && kind == "handle":
		return &handle{}
	case partition == "handle" && kind == "cancel":
		return &cancelToken{}
	case partition == "roster":
		return &rosterEntry{}
	case partition == orgsPartition:
		return &seenOrg{}
	case partition == "adoption":
		return &adoptionDay{}
	case key == countCursorKey:
		return &countCursor{}
	case partition == erasingPartition:
		return &orgErasure{}
	case partition == "due":
		return &expiryEntry{}
	case partition == "notice" && kind == "claim":
		return &claim{}
	case partition == "cred" && kind == "owner":
		return &credentialOwner{}
	case partition == "idem" && kind == "answer":
		return &remembered{}
	case partition == "replayed":
		return &replayed{}
	case partition == "fence":
		return &fence{}
	case key.Partition == fanOutPartition:
		return &fanOut{}
	case key == sweepCursorKey:
		return &sweepCursor{}
	case key == checkpointCursorKey:
		return &checkpointCursor{}
	case key == PublishedKeysAt:
		return &publishedKeys{}
	}
	return nil
}

// countPartition is the partition of what is counted for an org from some moment on, the beginning of an hour or a day.
func countPartition(r route, what string, from time.Time) string {
	return countPrefix + b64(string(r.org())) + "#" + what + "#" + from.Format("2006-01-02T15")
}

const countPrefix = "count#"

// The counts under a countPartition.
const (
	sortSent     = "sent"
	sortReturned = "returned" // of those, the ones that were not sent after all
	sortAnswered = "answered" // of those, the ones that were answered
)

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func userPartition(r route) string { return "u#" + b64(string(r)) }

func orgPartition(r route) string { return "org#" + b64(string(r[:16])) }

func guardKey(r route) store.Key { return store.Key{Partition: userPartition(r), Sort: "guard"} }

func browserKey(r route, id string) store.Key {
	return store.Key{Partition: userPartition(r), Sort: "browser#" + id}
}

func factorKey(r route, id string) store.Key {
	return store.Key{Partition: userPartition(r), Sort: "factor#" + id}
}

func enrolmentKey(r route) store.Key {
	return store.Key{Partition: userPartition(r), Sort: "enrolment"}
}

func importsKey(r route) store.Key { return store.Key{Partition: userPartition(r), Sort: "imports"} }

func challengeKey(id string) store.Key { return store.Key{Partition: id, Sort: "challenge"} }

// policyKey is where the first copy of an org's policy is. See store.Copies.
func policyKey(r route) store.Key { return store.Key{Partition: orgPartition(r), Sort: "policy"} }

func policyVersionKey(r route, version int) store.Key {
	return store.Key{Partition: orgPartition(r), Sort: fmt.Sprintf("policy#%010d", version)}
}
