package mfa

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"countersign/pkg/activity"
	"countersign/pkg/apikey"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// The guard: the one item of a user that decides. See the package comment.
type guard struct {
	record.Head
	Org     string  `json:"org"`
	User    string  `json:"user"`
	Epoch   string  `json:"epoch"` // random; what carries another one is dead
	Profile Profile `json:"profile,omitzero"`

	Activity []byte `json:"activity,omitempty"` // key of what the org's activity says of the user

	Trust string `json:"trust,omitempty"` // random; what trusted browsers carry instead, once trust has died alone

	KnownWord string `json:"known_word,omitempty"` // random; what known tokens carry besides the epoch, once some were ended alone

	Enabled       bool `json:"enabled,omitempty"`       // 2FA turned on by the user
	Enforced      bool `json:"enforced,omitempty"`      // by an administrator, whatever the policy requires
	Deprovisioned bool `json:"deprovisioned,omitempty"` // the client said so, and hasn't put the user again since

	Factors  []enrolledFactor `json:"factors,omitempty"`  // a factor that isn't here is none
	Recovery *recoverySet     `json:"recovery,omitempty"` // nil: there is none
	Owed     bool             `json:"owed,omitempty"`     // the next verify makes a set of recovery codes and shows it

	Slots   []slot    `json:"slots,omitempty"`
	Floor   time.Time `json:"floor,omitzero"`    // a challenge without a slot, begun then or before, was evicted: dead
	Pending *slot     `json:"pending,omitempty"` // of the enrolment that something was sent for or tried against
	Guesses attempts  `json:"guesses,omitzero"`  // wrong codes
	Looked  attempts  `json:"looked,omitzero"`   // wrong recovery codes
	Sends   []int64   `json:"sends,omitempty"`   // codes by email of the last 24 hours, Unix microseconds, oldest first
	Given   int64     `json:"given,omitempty"`   // the latest of those that were taken out of Sends again
	Notices []int64   `json:"notices,omitempty"` // of the last 24 hours, Unix milliseconds, oldest first
	Waiting []waiting `json:"waiting,omitempty"` // to be told, once there is room
	MFATime time.Time `json:"mfa_time,omitzero"` // last real second factor

	Listed store.Version `json:"listed,omitempty"` // the commit that last wrote the user's line in the roster
}

// enrolledFactor is an enrolled factor that counts. What else there is to know of it is in an item of its own.
type enrolledFactor struct {
	ID   string    `json:"id"`
	Kind Kind      `json:"kind"`
	Used time.Time `json:"used,omitzero"`
	Step int64     `json:"step,omitempty"` // of totp: the last one accepted; no code of it or before it is good again
}

// recoverySet is the codes that are left of one set, as keyed digests.
type recoverySet struct {
	ID   string        `json:"id"` // random
	Made time.Time     `json:"made"`
	By   store.Version `json:"by,omitempty"` // the commit that made it

	PolicyVersion int      `json:"policy_version,omitempty"` // that it was made under
	Codes         []string `json:"codes"`
}

// A slot is what the guard knows of an open challenge or enrolment: what was tried, and how it ended.
type slot struct {
	ID       string        `json:"id"` // the challenge's, without prefix and route
	Begun    time.Time     `json:"begun"`
	Until    time.Time     `json:"until"`              // may be forgotten then
	Sequence int           `json:"sequence,omitempty"` // of the code that is live
	Wrong    int           `json:"wrong,omitempty"`
	State    string        `json:"state,omitempty"` // empty: pending
	At       time.Time     `json:"at,omitzero"`     // when State was reached
	By       store.Version `json:"by,omitempty"`    // the commit of the last answer
	Kind     Kind          `json:"kind,omitempty"`  // of the factor that answered
	Browser  string        `json:"browser,omitempty"`
	Unknown  bool          `json:"unknown,omitempty"` // known tokens have been ended since it was answered
	Proven   bool          `json:"proven,omitempty"`  // an enrolment's address was
	Factor   string        `json:"factor,omitempty"`  // that an enrolment brought
	Effect   string        `json:"effect,omitempty"`  // of the recovery code that answered
	Left     int           `json:"left,omitempty"`    // recovery codes, after it
}

// A challenge's states.
const (
	pending  = "pending"
	verified = "verified"
	failed   = "failed"
	expired  = "expired"
)

// A challenge: facts, and the digest of the code that went out last. What was tried against it is in the guard.
type challenge struct {
	record.Head
	ID            string      `json:"-"` // the partition of its item
	Epoch         string      `json:"epoch"`
	Life          string      `json:"life,omitempty"` // that its events are of
	Org           string      `json:"org"`
	User          string      `json:"user"`
	Client        string      `json:"client"`
	Sender        string      `json:"sender,omitempty"` // the name of the client that began it; empty: the client has none
	Bearer        string      `json:"bearer"`           // hash of the challenge token
	Purpose       string      `json:"purpose"`
	Action        *string     `json:"action,omitempty"`
	Nonce         *string     `json:"nonce,omitempty"`
	Reason        string      `json:"reason"`
	PolicyVersion int         `json:"policy_version"`
	FirstFactor   FirstFactor `json:"first_factor"`
	Begun         time.Time   `json:"begun"`
	Expires       time.Time   `json:"expires"`
	Default       string      `json:"default"`         // the factor asked for
	Only          Kind        `json:"only,omitempty"`  // the one kind that a step-up takes; empty: any
	Known         bool        `json:"known,omitempty"` // begun in a browser where the user had answered rightly before
	Code          *sentCode   `json:"code,omitempty"`

	// Where it can only be answered by enrolling a factor:
	Enrolment string `json:"enrolment,omitempty"` // hash of the enrolment token
	Recovered string `json:"recovered,omitempty"` // the effect of the recovery code that led to it
}

// A factorRecord is all of an enrolled factor but what decides, which is in the guard.
type factorRecord struct {
	record.Head
	ID      string    `json:"id"`
	Kind    Kind      `json:"kind"`
	Label   string    `json:"label,omitempty"`
	Created time.Time `json:"created"`
	Contact string    `json:"contact,omitempty"` // where its codes go: the one it was proven with
	Secret  []byte    `json:"secret,omitempty"`  // of totp, sealed
}

// enrolment is a factor that is being enrolled. A user has one at a time: beginning again puts another in its place.
type enrolment struct {
	record.Head
	ID        string          `json:"id"` // en_…
	Epoch     string          `json:"epoch"`
	Client    string          `json:"client"`
	Challenge string          `json:"challenge,omitempty"` // that its finish answers; empty: none
	Actor     *activity.Actor `json:"actor,omitempty"`     // an administrator, on the user's behalf
	Reason    string          `json:"reason,omitempty"`    // theirs
	Begun     time.Time       `json:"begun"`
	Expires   time.Time       `json:"expires"`
	Proven    bool            `json:"proven,omitempty"` // the address was, by a code that went there before
	Begins    int             `json:"begins,omitempty"` // by enrolment tokens, this one and those that it took the place of
	Code      *sentCode       `json:"code,omitempty"`
	Factor    factorRecord    `json:"factor"`
}

// sentCode is a code that went out: never the code, only a keyed digest of it bound to this challenge.
type sentCode struct {
	Factor   string    `json:"factor"`
	Sequence int       `json:"sequence"` // 1 for the first of its challenge
	Digest   string    `json:"digest"`
	Sent     time.Time `json:"sent"`
	Again    time.Time `json:"again"` // when the next may be asked for
	Expires  time.Time `json:"expires"`
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

// due is a trusted browser whose end falls in an hour, or a user whom something waits to be told to. It names its user by the route only, so that an erasure, which
// can't find it, leaves nothing of the user in it.
type due struct {
	record.Head
	Route     []byte    `json:"route"`
	Browser   string    `json:"browser,omitempty"`
	Epoch     string    `json:"epoch,omitempty"`
	Ends      time.Time `json:"ends"`
	Announced bool      `json:"announced,omitempty"`
	Notices   bool      `json:"notices,omitempty"` // instead of a browser: something waits to be told, and there is room at Ends
}

// listed is a user's line in the roster of its org: facts only, status is computed under the policy of the moment.
type listed struct {
	record.Head
	User     string `json:"user"`
	Email    bool   `json:"email,omitempty"` // has an address
	Kinds    []Kind `json:"kinds,omitempty"` // of enrolled factors, each once
	Enabled  bool   `json:"enabled,omitempty"`
	Enforced bool   `json:"enforced,omitempty"`
}

// An orgPolicy is an org's policy as it is, or as it was in one version, with what it and those before it did to trust and
// to recovery codes.
type orgPolicy struct {
	record.Head
	Org     string       `json:"org"`
	Version int          `json:"version"`
	Updated time.Time    `json:"updated"`
	Ends    []tightening `json:"ends,omitempty"`

	RecoveryEnded int `json:"recovery_ended,omitempty"` // the latest version that took away all recovery codes; 0: none did

	Policy
}

// remembered is the answer to a call that came with an Idempotency-Key.
type remembered struct {
	record.Head
	Body  string       `json:"body"` // digest of the request's
	Until time.Time    `json:"until"`
	Full  []byte       `json:"full"`            // sealed: the answer, repeated until Until
	Later []byte       `json:"later"`           // sealed: without what is shown once
	Needs apikey.Scope `json:"needs,omitempty"` // the scope that an API key must have to hear it; empty: it has passed the step
}

// mark is where the sweep goes on.
type mark struct {
	record.Head
	Hour  time.Time `json:"hour"`            // every hour before it is done
	Shard int       `json:"shard,omitempty"` // of that hour; those before it have been gone through
	After string    `json:"after,omitempty"` // in that shard; so has what is no later
	Since time.Time `json:"since,omitzero"`  // when the first run began that has gone through a part of the hour
}

func (m *mark) same(as *mark) bool {
	return m.Hour.Equal(as.Hour) && m.Shard == as.Shard && m.After == as.After && m.Since.Equal(as.Since)
}

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

func challengeKey(id string) store.Key { return store.Key{Partition: id, Sort: "challenge"} }

func policyKey(r route) store.Key { return store.Key{Partition: orgPartition(r), Sort: "policy"} }

func policyVersionKey(r route, version int) store.Key {
	return store.Key{Partition: orgPartition(r), Sort: fmt.Sprintf("policy#%010d", version)}
}

// The roster is cut in shards, so that an org of many users is written and read at many partitions.
const rosterShards = 16

func rosterPartition(r route, shard int) string {
	return fmt.Sprintf("roster#%s#%x", b64(string(r[:16])), shard)
}

func rosterKey(r route) store.Key {
	return store.Key{Partition: rosterPartition(r, int(r[16])%rosterShards), Sort: b64(string(r[16:]))}
}

const dueShards = 4

func duePartition(hour time.Time, shard int) string {
	return fmt.Sprintf("due#%s#%d", hour.UTC().Format("2006-01-02T15"), shard)
}

func dueKey(r route, b *browser) store.Key {
	return store.Key{Partition: duePartition(b.Ends, int(r[16])%dueShards), Sort: b64(string(r)) + "#" + b.ID}
}

func dueNoticesKey(r route, at time.Time) store.Key {
	return store.Key{Partition: duePartition(at, int(r[16])%dueShards), Sort: b64(string(r)) + "#notices"}
}

var markKey = store.Key{Partition: "sweep", Sort: "mark"}

// shortID is an id without its prefix and route: enough to name it beside its user.
func shortID(id string) string {
	_, rest, _ := strings.Cut(id, "_")
	return rest[max(0, len(rest)-22):]
}

// erased stands where a user was, for as long as the event of the erasure takes to be handed on.
type erased struct {
	record.Head
	At time.Time `json:"at"`
}
