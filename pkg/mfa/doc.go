// Package mfa decides whether a user must give a second factor, and looks at what they give. It is the whole domain of
// Countersign: it knows neither HTTP nor AWS, only a store (four methods), a key ring, a mailer, a bus and a clock.
//
// What a decision doesn't need stands in packages that know nothing of this one: package message writes what users are sent,
// package activity keeps what happened, package apikey is the registry of API keys, package seal has the keys and makes the
// bearers, and package store/record writes the bodies of items.
//
// # What it keeps
//
//   - One success per secret: of all requests with one right code exactly one gets a token.
//   - Attempts never exceed their cap, whatever arrives at once, over all challenges, processes and restarts.
//   - Nothing succeeds after a lock, an expiry or a revocation has been answered.
//   - Nothing crosses an org, a user, a client, a challenge or a purpose.
//   - No outcome leaves before the Commit that records it: read, decide, one Commit, answer. A wrong answer is a Commit too.
//   - An honest retry never hears that its code was used: a commit whose answer was lost is found again by its token.
//   - Whatever can't be read, opened or written means that nobody gets in.
//
// # The guard
//
// One item per user, the guard, is the only thing that decides. Two requests that could both succeed write the same item
// under the same version, so one of them loses, reads again and decides again. Everything else is facts: it may be read
// beside the guard and is believed only where the guard agrees.
//
//   - Challenges, enrolments, proofs, trusted browsers and what is due carry the guard's epoch, a random word. A new epoch
//     kills them all in one write, and a user who is erased and made again inherits nothing. Where trust alone dies, the
//     guard gets another word for browsers only.
//   - A factor counts if the guard lists it, and a totp code is good if its step is later than the one the guard has.
//   - A code is live only while the guard holds its sequence number, so that a verify which read the challenge before a
//     resend and the guard after it sees that they don't belong together.
//   - The guard keeps a slot for each challenge that something was sent for or tried against. Slots are bounded; when one
//     has to go, every challenge begun no later that has none is dead.
//
// A call is judged at one moment: when it read what it decides on. Whoever began after a revocation, an expiry or a lock
// was answered is never let in. A call that had read before it may still answer after it: a verify only if its guard
// wasn't written meanwhile; a trusted browser's rotation, which writes only the browser, even then, with a token that is
// dead already.
//
// # The table
//
// U is the route of a user (base64url of the first 16 bytes of SHA-256 of the org, then of org and user, each
// length-prefixed), O its first half. Ids and bearers carry the route, so all reads of a step start at once. Every body is JSON with
// a format number. Times are UTC. In DynamoDB an item is pk, sk, v (version: the token of its commit), x (TTL second),
// b (body), e (events).
//
//	partition        sort              item                                          gone           written by                         read by
//	u#U              guard             guard: epoch, profile, 2FA on or off,         never          start, send, verify, account,      every step, publish
//	                                   enforcement, slots, wrong answers and lock,                  enrol, recover, admin,
//	                                   codes and notices sent, what waits to be                     sweep, publish
//	                                   told; live factors with last TOTP
//	                                   step; digests of recovery codes; key of what
//	                                   the activity says of the user
//	u#U              browser#tb_…      trusted browser: epoch, name, kind that       end + 30 days  verify; start (rotation)           start, verify, account, sweep
//	                                   earned it, fixed end, newest generation
//	u#U              factor#fa_…       enrolled factor: sealed secret, label,        never          enrol, recover, account            every step
//	                                   contact it was proven with
//	u#U              enrolment         the enrolment under way: sealed secret,       10 min         enrol                              enrol
//	                                   code digest, who began it
//	u#U              erased#token      carries the event of an erasure               10 min         account                            nobody
//	ch_…             challenge         challenge: who, why, policy version, hash of  end + 10 min   start, send, recover, enrol        send, verify, recover, enrol,
//	                                   its tokens, digest and sequence of the code                                                     look
//	org#O            policy            policy in force, with what earlier versions   never          policy                             every step
//	                                   did to trust
//	org#O            policy#version    policy of that version                        never          policy                             admin
//	org#O            cutoff#version    sign-out cut-off: at, rule                    never          policy (with sign_out_now)         introspect
//	roster#O#shard   rest of U         a user's line: facts, no status               never          with each change of them           policy, admin
//	due#hour#shard   U#tb_…            trusted browser that ends in that hour        end + 30 days  verify                             sweep
//	due#hour#shard   U#notices         something waits to be told to the user, and   then + 30 days publish                            sweep
//	                                   there is room in that hour
//	notice#ev_…#hash claim             a notice to one recipient, claimed            31 days        publish                            publish
//	sweep            mark              where the sweep goes on: hour, shard, after  never          sweep                              sweep
//	key#hash         key               API key: client, name, scopes, org, origins   never          ctl, local server                  every step
//	key#hash         revoked           nothing, where a key was                      1 hour         ctl                                nobody
//	keys             hash              an API key's line: the same, no secret        never          with each key                      ctl
//	idem#client#hash answer            remembered answer, sealed under the ring and  24 hours       any POST                           the same POST again
//	                                   the Idempotency-Key itself
//	act#O            day               activity, what its pages depend on: how many       day + 400      publish                            publish, account
//	                                   shards it has, which have begun, the last     days
//	                                   pages of the day before
//	act#O#day#shard  page number       activity page: the hash of the page before,   day + 400      publish                            publish, account
//	                                   entries with salted digests, what they say of days
//	                                   a user encrypted; shards by U's second half
//	count#…          -                 shared budgets (Count): SMS per prefix, org   their window   send (with SMS)                    send
//	ring             ring              key ring, wrapped by KMS                      never          first start, sweep (on AWS)        every function but pages
//	jwks             jwks              its public half, as clients check tokens by   never          with each change of the ring;      pages
//	                                   it                                                           local server
//	filter           filter            filter key of bearers, in the clear           never          whoever comes first: a function,   every step, ctl
//	                                                                                                ctl, local server
//
// The rows of act belong to package activity, which says how pages are chained and what an erasure leaves of them.
//
// The rows marked "with sign_out_now" and "with SMS" belong to parts that are still to come; their place is fixed here.
//
// # Strangers
//
// A bearer ends in a MAC under the filter key (package seal). Under it an API key carries its client, the org it is limited
// to and its scopes; a challenge or enrolment token carries its challenge's id. So a bearer that was not made here, and one
// that doesn't fit the call, is refused before anything is read: what a stranger hears, and after what time, depends on no
// user. That a bearer was made here lets nobody in: the hash in the store decides. A process reads the filter key once. It
// is never replaced, because every bearer ends with it.
//
// # Trust that dies
//
// A trusted browser's end is fixed when it is granted and never moves later. Before that it dies of:
//
//	cause                                what happens                                                       event's cause
//	factor removed                       every browser of the user                                          factor_removed
//	2FA turned off                       every browser                                                      disabled
//	email or phone changed               every browser, challenge, enrolment and proof of the user          email_changed, phone_changed
//	reported: password, email or phone   the same                                                           password_changed, …
//	changed, signed out (everywhere),
//	deprovisioned (and no start until
//	the user is put again)
//	all browsers revoked                 the same                                                           revoked
//	recovery that resets                 the same, and factors and recovery codes                           recovery
//	re-enrolment after a recovery        the same                                                           reenrolled
//	user erased                          the guard is gone, then the rest                                   none
//	one browser revoked                  that one                                                           revoked
//	policy with fewer trust days         every end moves to at most that many days after the grant          none
//	policy with trust days 0             all of the org's                                                   none
//	policy forbids the kind that earned  those it earned                                                    none
//	more browsers than trust.cap         the oldest, at the next grant                                      cap
//	a superseded token, used again       its line                                                           browser.theft_suspected
//	after its successor was
//	its end                              it, announced by the sweep                                         browser.expired
//
// A line that is good for nothing any more is removed by the user's next commits, up to five by each; the ten newest that
// ended by themselves stay for 30 days, so that a sign-in can say trust_expired.
//
// A factor that is added or renamed ends nothing. A later, looser policy brings nothing back: no trust, and no recovery codes
// of sets that were made before a policy without recovery codes. No request begun after the
// call that ended trust had answered is spared the question.
//
// # What an erasure leaves
//
// The guard, factors, browsers, the enrolment under way and the user's line in the roster are removed. What the org's
// activity says of the user lies sealed under a key that was in the guard: from then on it says only that something
// happened, and when. What isn't looked for goes by itself: challenges name the user until 10 minutes after their end, and
// for 10 minutes so does the item that the event of the erasure rides on. A due item, an activity entry and a challenge's
// id hold the route, which is a hash; the claim of a notice holds a hash that nobody can check without what was in the
// guard; a remembered answer can be opened only with its Idempotency-Key. An administrator's id stays with the user who was
// acted on. What has been handed on is not ours any more: what the bus got, the store's stream of the last day, backups.
//
// # Who may change an account
//
// Whoever turns 2FA on or off, removes a factor, makes recovery codes or begins an enrolment with an API key has given the
// password within the last 10 minutes, on the client's word. While the user's 2FA is on, a proof has to come too: the token
// of a step-up that was answered, at most 10 minutes before, with a factor of a kind no weaker than the strongest that the
// user can answer with. An app is enough beside a key. So neither a mailbox nor a phone number takes over an account that
// has an app or a key. What is left to a user who lost something:
//
//	lost                                     what they can do
//	a key, and there is an app               step up with the app
//	the app, and there is a recovery code    step up with the code: that is proof for beginning an enrolment and for nothing
//	                                         else. The new factor is proof for the rest. The user is told of both.
//	the app, and email or SMS is a backup    sign in with the backup, but change nothing: a recovery code, or an
//	                                         administrator who enrols another factor on their behalf
//	everything but email, which is all       step up by email
//	there is
//	everything, by a policy that forbids     step up, or sign in where 2FA is required: both lead to an enrolment, which begins
//	every factor that the user has           with a code to the known address whatever enrolment_proof says. Until then nothing
//	                                         of the account changes. Without a known address an administrator helps.
//
// # Limits
//
// Wrong codes of any kind, at sign-in, enrolment and proof: 10 in 15 minutes, 20 in a day, 100 in a row, per user. Wrong
// recovery codes: 5 in 15 minutes, 10 in a day, 100 in a row. Codes by email: 10 an hour, 30 a day, per user, over everything.
// A code that the provider surely didn't take is not counted; one that it may have taken is. A resend resets nothing. A lock
// waits 15 minutes, then twice as long each time until a right answer, at most a day; at 100 in a row it has no end of its
// own, but a right recovery code gives it one. Neither lock keeps the other kind out. An administrator ends every lock of a
// user, whatever end it has, and all counts of wrong answers start anew then. With enrolment tokens an enrolment can be begun
// 20 times per user while one of the tokens lasts, so that what browsers can have remembered under their own
// Idempotency-Keys is bounded.
//
// Of each sort a user has two such budgets: one for browsers where this user has answered rightly before, and one for all
// others, so that somebody who has only the password can't lock the owner out of a browser that the owner uses. A challenge
// counts in the first if a known token came with its start, which every verify gives; so does the enrolment that answers it.
// An enrolment that was begun with an API key counts in the other. The row of 100 is one for both. A right answer ends the
// row, and the lock of its own budget as far as the windows allow. An account shows the lock of browsers that aren't known.
// A known token is an HMAC over the epoch and a word in the guard; a new epoch ends it, and so does a new word, where one
// browser is revoked or a theft suspected.
//
// A policy that allows fewer attempts counts for what is open as well: a challenge or enrolment with as many wrong answers
// is over. Starts have no limit of their own: a client starts a challenge once it has seen the right password, and limits
// those; a start that sends a code is bound by the limit of codes. One that sends none writes a challenge that expires, and
// bounding those would cost every sign-in by app another write. The HTTP API's throttle bounds all callers together.
//
// # What a user is told
//
// Every lock, and every change of how the account is protected, is told by email: to the person, address and language of the
// moment it happened, a change of the address to the earlier one too. Notices have a budget of their own, 20 in a day. What
// is over it waits in the guard and comes as one notice that sums up, with the user's next event or by the sweep, as soon as
// there is room; a change of the address never waits. A notice is claimed before it is sent, so a record that is handed on
// twice sends it once; where the provider's answer was lost it is sent once more. One that the provider refused is recorded
// as delivery.failed and not tried again.
//
// Messages, notices and authenticator apps say the name of the client whose call caused them, or the deployment's name where
// the client's API key has none. What goes out for a challenge says the name under which it was begun, whether its token or
// a key goes on with it. A notice that sums up what clients of several names have caused says the deployment's name.
//
// # What it refuses to do
//
// It stores no code, no bearer and no trust token, only digests and hashes bound to what they are for. It takes no time,
// caller or address from a request's body where one of the three decides. It never asks which profile a policy came from.
package mfa
