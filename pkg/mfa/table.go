// # The table
//
// In these tables U is the route of a user, and O its first half, the route of the org: base64url of the first 16 bytes of
// SHA-256 of the org, then of org and user, each length-prefixed. Ids and bearers carry the route, so that a step can start
// all its reads at once. Every body is CBOR with a format number (see package record), and ctl show prints it as JSON. Times
// are in UTC. In DynamoDB an item has pk, sk, v (its version, which is the token of its commit), x (TTL, in seconds), b (its
// body) and e (the events that are stored with it, as JSON). The last two columns name functions. A function that reads one
// item of a user's partition u#U usually reads all of it, with one Query.
//
//	partition          sort            item                                                  gone after       written by                  read by
//	u#U                guard           guard: epoch, profile, 2FA on or off, enforcement,    never            challenge, verify, enrol,   these
//	                                   grace; the last end of all sessions;                                   recover, account, admin,
//	                                   slots; wrong answers and locks; codes and notices
//	                                   sent, what waits to be told; factors that count,                       sweep, publish, feedback
//	                                   with the last time step of an app; digests of
//	                                   recovery codes and of the pass; addresses that messages came back
//	                                   from; the key of what the activity says of the user
//	u#U                browser#tb_…    trusted browser: epoch, name, kind that earned it,    end + 30 days    verify; challenge           challenge, verify, enrol,
//	                                   fixed end, newest generation of its token                              (rotation)                  recover, account, admin,
//	                                                                                                                                      sweep
//	u#U                factor#fa_…     enrolled factor: sealed secret or public key, label,  never            enrol, recover, account,    challenge, verify, enrol,
//	                                   contact that it was proven with                        admin                       recover, account, admin
//	u#U                imports         marks of what was imported for the user               never            admin                       all that read u#U
//	u#U                enrolment       the enrolment that is under way: sealed secret,       10 minutes, or   enrol                       enrol
//	                                   digest of the code, ceremony, who began it            when the
//	                                                                                         enrolment token
//	                                                                                         expires, if later
//	u#U                erased#version  nothing but the time; the event of an erasure is      10 minutes       account                     nobody
//	                                   stored with it
//	ch_…               challenge       challenge: user, purpose, reason, policy version,     end + 10         challenge, enrol, recover,  challenge, verify, enrol,
//	                                   hashes of its tokens, digest and sequence number of   minutes          admin                       recover, admin
//	                                   the code, ceremony, what the handle of its page's
//	                                   link stands for
//	cred#hash          owner           a credential id of a key: which factor of which user  never            enrol, admin                enrol, recover, account,
//	                                   it belongs to                                                                                      admin
//	org#O              policy          the policy in force, with what earlier versions did   never            policy                      all that read u#U but
//	                                   to trust, and which of them ended sessions, when                                                   publish; policy
//	org#O#copy         policy          the same in seven more copies, 1 to 7                 never            with the policy             the same
//	org#O              policy#version  the policy of that version                            never            policy                      nobody yet
//	fence#O#part       fence           the version of the last policy that ended sessions;   never            policy, enrol, account      policy, enrol, account,
//	                                   what is written beside one loses                                                                   admin, sweep
//	fanout             O#commit        how far it has been told of whom a policy has signed  never; 10        policy, sweep               sweep
//	                                   out                                                   minutes once it
//	                                                                                         is done
//	roster#O#shard     rest of U       roster entry of a user: facts, with name and          never            challenge, enrol, recover,  policy, account
//	                                   address, and no status                                                 account, admin              admin, sweep
//	orgs               O               an org that was seen: its id, and when                never            challenge, enrol, account,  challenge, enrol, account,
//	                                                                                                          policy                      policy, admin, sweep
//	erasing            O               an erasure of an org that was begun: by whom, and     never; 10        admin, sweep                admin, sweep
//	                                   whether it is done                                    minutes when it
//	                                                                                         is done
//	adoption#O         day             how many users were protected on that day, and how    400 days         sweep                       admin, sweep
//	adoption#O         locked#rest of  nothing; it stands for a lock of a user, and their    end of the lock  publish                     admin, sweep
//	                   U#ev_…          guard says whether it still holds
//	due#hour#shard     U#tb_…          expiry entry of a trusted browser that ends in that   end + 30 days    verify, sweep               sweep
//	                                   hour
//	due#hour#shard     U#notices       expiry entry of a user: something waits to be told,   due + 30 days    publish                     sweep
//	                                   and there is room in that hour
//	due#hour#shard     U#rs_…          expiry entry of a user: a request for a reset is due      due + 30 days    admin, publish              sweep
//	reset#O            rest of U#…     a request for a reset: who asks, who approves, why        90 days          admin, recover              admin, recover, account,
//	                                                                                                                                      sweep
//	handle#hash        handle          handle of a link: the bearer that it stands for, sealed   21 days, or 10   publish, admin              admin
//	                                   under the handle itself                                minutes
//	handle#hash        cancel          that such a bearer is good: the request that it cancels   21 days          publish                     admin
//	portal#hash        session         portal session: whose, about which org, by which client,  1 hour           admin; challenge            challenge, enrol, account,
//	                                   epoch                                                                  (step-ups)                  policy, admin
//	notice#ev_…#hash   claim           a notice to one recipient, claimed before it is sent  31 days          publish                     publish
//	replayed#hash      done            records that publish had given up were handed to it   31 days          ctl                         ctl
//	                                   again
//	sweep              mark            the cursor of the sweep: hour, shard, place in it     never            sweep                       sweep, ctl
//	sweep              checkpoints     the cursor of Checkpoint: day, shard, place in it     never            sweep                       sweep
//	sweep              adoption        the cursor of the count of users: day, place in orgs  never            sweep                       sweep
//	count#O#of#time    sent            how many codes by SMS were counted for a number, a    hour or day + 2  challenge, enrol            challenge, enrol
//	                                   prefix or the org, from that time on for an hour or   hours
//	                                   a day
//	count#O#of#time    returned        how many of them were not sent after all              the same         challenge, enrol            challenge, enrol
//	count#O#of#time    answered        how many of a prefix were answered                    2 hours          publish                     challenge, enrol
//	idem#client#hash   answer          remembered answer, sealed under the ring and the      24 hours         any POST that changes       the same POST again
//	                                   Idempotency-Key itself                                                 something
//	act#O              day             activity: how many shards the day has, which of them  day + 400 days   publish                     publish, account,
//	                                   have begun, the last pages of the day before                                                       sweep; ctl
//	act#O#day#shard    page number     activity page: the hash of the page before, and       day + 400 days   publish                     the same
//	                                   entries with salted digests, in which all that is
//	                                   said of a user is encrypted
//	active#day#shard   O#day           something was filed on that day in that day of the    day + 60 days    publish, sweep              publish, sweep
//	                                   org; what the last checkpoint of it tells of
//	check#O            serial          signed checkpoint: the last page of each shard of a   day + 400 days   sweep                       sweep; ctl
//	                                   day, and the hash of the checkpoint before
//	key#hash           key             API key: client, name, scopes, org, origins           never            ctl, local server           all that serve the API but
//	                                                                                                                                      pages; sweep
//	key#hash#copy      key             the same in seven more copies, 1 to 7                 never            with the key                the same
//	key#hash           revoked         nothing; it stands where an API key was               1 hour           ctl                         ctl
//	keys               hash            entry of an API key: the same, and no secret          never            with each key               ctl; admin, sweep
//	used#ak_…          day             nothing; it stands for a day on which an API key was  400 days         challenge, enrol, account,  ctl
//	                                   used                                                                   policy, admin
//	ring               ring            key ring, wrapped by KMS, and the format in which     never            the first function that     all functions but pages and
//	                                   records are written                                                    needs it, sweep, ctl        publish; ctl
//	jwks               jwks            the public half of the ring, by which clients check   never            with each change of the     pages, sweep; ctl
//	                                   tokens                                                                 ring
//	filter             filter          the filter key of bearers, not encrypted              never            the first that needs it     all that serve the API but
//	                                                                                                                                      pages; ctl
//
// The rows of act, active and check belong to package activity, which says how pages are chained, how a user belongs to a shard,
// what checkpoints tell of, and what an erasure leaves of them. The items under count#… hold a number each, which store.Count adds to.
//
// Very many calls need the same API key or the same policy, more than one partition of DynamoDB can answer. So there are eight
// copies of each, in partitions of their own, which one commit writes. A call reads one of them at random. Because all are
// written at once, the copies are equal, and a key that was revoked or a policy that was saved is so in all of them when the
// answer leaves. The page .github/docs/scale.md says what else has a limit.
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
	case partition == "portal":
		return &portalSession{}
	case partition == "roster":
		return &rosterEntry{}
	case partition == orgsPartition:
		return &seenOrg{}
	case partition == "adoption" && kind == "locked":
		return &lockNote{}
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
