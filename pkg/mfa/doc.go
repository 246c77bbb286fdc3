// Package mfa decides whether a user must give a second factor, and checks what they give. It is the whole domain of
// Countersign. It knows neither HTTP nor AWS, only a store with four methods, a key ring, a mailer, a bus and a clock.
//
// # What to use first
//
// A [Service] answers all calls. Set its fields, and call its methods: most of them take a [Call], which says how the
// request came in, and a request of their own. For a test, mfatest.New makes a Service with all that it needs. Package api
// puts a Service behind HTTP, and the folder infra/local runs it on one machine.
//
// A sign-in takes two calls. The example of this package shows them.
//
//  1. When the user has given the right password, the application, which is called the client here, calls StartChallenge
//     with a [StartRequest]. The answer says whether the user is let in (allow), must answer (challenge), or must enrol a
//     factor first (enrol). With allow comes a token, which the client checks. With challenge a code may have been sent.
//  2. The user gives the code, and the client calls Verify with a [VerifyRequest]. If the code is right, the answer has the
//     token. If the user wanted it, it also has a token by which the browser is trusted from then on.
//
// SendCode sends another code, and Recover takes a recovery code instead. With enrol, the calls are BeginEnrolment and
// FinishEnrolment. The other calls manage users, factors, browsers, policies and the activity. Publish and Sweep are called by
// the deployment itself: Publish for what was committed, Sweep and Checkpoint every 15 minutes, TakeFeedback for a message that
// came back. A call that doesn't succeed returns an error in which [AsError] finds an [Error] with one of the codes in
// error.go. A call that is repeated with the same Idempotency-Key returns a [Remembered] instead, which is an error too.
//
// # What it keeps
//
//   - One success per secret: of all requests with one right code, exactly one gets a token.
//   - Attempts never exceed their limit, over all challenges, processes and restarts, however many requests arrive at once.
//   - Nothing succeeds after a lock, an expiry or a revocation has been answered.
//   - Nothing that was given for one org, user, client, challenge or purpose is good for another.
//   - No outcome leaves before the commit that records it. A call reads, decides, commits once and then answers. A wrong
//     answer is a commit too.
//   - An honest retry is never told that its code was used. If the answer to a commit was lost, the next try finds that
//     commit by its token.
//   - If something can't be read, opened or written, nobody gets in.
//
// # Words
//
//   - The guard is the one item of a user that decides. The epoch is a random word in it: what carries another epoch is
//     dead. Dead means: not good for anything any more.
//   - A slot is what the guard holds of one challenge or enrolment: the wrong answers, and how it ended.
//   - A unit is one try at a call: the moment at which it is decided, and what it wants committed. A call that loses a race
//     is tried again, on fresh reads.
//   - A view is a challenge or an enrolment with all that decides about it, as the reads of one try found it.
//   - The roster is the list of an org's users. An entry is one item of a list: of the roster, of what is due in some hour,
//     of a batch, or of the activity. A batch is all events of one commit.
//   - A bearer is the text by which a caller shows what it may do: an API key of a client, or the token of a challenge or an
//     enrolment. A route says where the items of an org or a user are.
//   - A known browser is one where this user has answered rightly before. A trusted browser is one where the user needn't
//     answer.
//   - A factor counts, or a browser does, if it is good now: nothing has ended or removed it.
//
// # Which file does what
//
// The files are listed from the mechanisms that all others use to the calls of the API, each of which has a file of its own.
// Tests stand beside what they test; the folder pkg/mfa/walk goes through every order in which a few calls can meet.
//
//	Kinds, errors, limits
//	    kind.go            the table of kinds of factor, and the interface of their authenticators. To add a kind, copy the file of one: email.go if a code is sent, totp.go if the user holds a secret, webauthn.go if a device signs. The comment of the table says what else a kind needs
//	    error.go           the closed list of reasons why a call doesn't succeed
//	    limit.go           how many wrong answers a user may give, and how long a lock lasts
//	    check.go           ids and texts in requests
//	    list.go            pages of lists, and the cursors that lead to the next page
//	Policy
//	    policy.go          the settings of a policy and their ranges, and what they say about kinds
//	    orgpolicy.go       an org's policy in force, and what its versions have done to trust
//	    demand.go          what enforcement goes by: who needs a factor, and who may still skip setting one up
//	    cutoff.go          how a save of a policy ends sessions, and how it is settled for each user
//	Events and notices
//	    event.go           the types of event, and how the events of a commit are stored with it
//	    notices.go         which events a user is told about, and what waits until there is room
//	Engine
//	    service.go         what a Service needs, and what comes with a Call
//	    step.go            how a call runs: it judges the bearer, reads, decides, commits and answers
//	    unit.go            one try at a call, and what it wants committed
//	    read.go            reads that are made at the same time
//	    caller.go          who makes a call, and whether they may
//	    bearer.go          the tokens of challenges and enrolments
//	    portal.go          portal sessions: which calls they may make, and what kills them
//	    replay.go          where an answer is remembered, for a call that is repeated with the same Idempotency-Key
//	    handover.go        hands a code that was committed over to the provider, and corrects what was committed if that fails
//	Records
//	    table.go           the map of the table and the keys of items. The record of an item is in the file of what it is, such as challenge.go
//	    show.go            what an item holds, as JSON, for operators
//	    route.go           where the items of an org or a user are
//	    roster.go          the list of an org's users
//	    org.go             the list of all orgs
//	    expiry.go          what is due in some hour
//	Guard and account
//	    guard.go           the guard, its epoch and what renews it
//	    slot.go            what the guard holds of challenges and enrolments
//	    account.go         all items of a user, and the writing of the guard
//	    profile.go         what clients say about a user
//	    factor.go          the factors of a user, and which of them count under a policy
//	    fresh.go           whether a user has just shown who they are: a password check, and a step-up as a proof
//	    change.go          what all changes of an account have in common
//	    intervention.go    an administrator who acts on a user's account
//	    user.go            an account as the client sees it
//	One file per kind
//	    totp.go            authenticator apps: their secrets, and which code is right at a moment
//	    qr.go              the QR code that shows such a secret
//	    email.go           codes by email
//	    sms.go             codes by SMS: the numbers that they go to, and the interfaces of what reads and reaches numbers
//	    code.go            what both use to make a code, to bind it and to match it
//	    sends.go           how many codes a user may be sent
//	    webauthn.go        security keys and passkeys: their ceremonies, and to whom a credential id belongs
//	    textbudgets.go     how many codes by SMS the users of an org may be sent together
//	    ceremony.go        what a WebAuthn ceremony takes and gives, and the interface of the package that carries it out
//	Challenge, enrolment, recovery, trust, token
//	    decide.go          the decision about a sign-in, and the call Decide
//	    firstfactor.go     how the user signed in before, on the word of the client
//	    action.go          what a step-up confirms, and the lines that the user is shown
//	    challenge.go       a challenge, and what its calls have in common
//	    enrolment.go       an enrolment, and what its calls have in common
//	    recovery.go        the set of recovery codes
//	    reset.go           requests for a reset: how long they wait, and what carries them out or ends them
//	    handle.go          handles: what links carry in place of a bearer; and RedeemHandle
//	    link.go            the handle of a challenge's hosted page, which the challenge's own item has
//	    pass.go            the pass, with which a user signs in once who has nothing else
//	    trust.go           trusted browsers, their tokens, and how trust ends
//	    known.go           known browsers
//	    token.go           the token that says how a sign-in went
//	One file per call
//	    start.go           StartChallenge
//	    send.go            SendCode
//	    verify.go          Verify
//	    recover.go         Recover
//	    look.go            LookAtChallenge and LookAtEnrolment
//	    enrol_begin.go     BeginEnrolment
//	    enrol_prove.go     ProveAddress
//	    enrol_send.go      SendEnrolment
//	    enrol_finish.go    FinishEnrolment
//	    backup.go          the backup that is offered after the first factor
//	    user_put.go        PutUser
//	    user_list.go       ListUsers
//	    user_get.go        GetUser
//	    user_enable.go     SetEnabled
//	    user_report.go     Report: trust ends there when the client reports a new password
//	    user_unlock.go     Unlock
//	    user_reset.go      ResetUser
//	    resets.go          GetReset, ApproveReset and CancelReset
//	    resets_list.go     ListResets
//	    reset_request.go   RequestReset: a user asks for a reset at a challenge
//	    user_pass.go       IssuePass and RevokePass
//	    user_enforce.go    Enforce
//	    introspect.go      Introspect: may a session go on
//	    user_erase.go      EraseUser
//	    factor_rename.go   RenameFactor
//	    factor_remove.go   RemoveFactor
//	    recovery_codes.go  NewRecoveryCodes
//	    browsers.go        ListBrowsers, RevokeBrowser and RevokeBrowsers
//	    adoption.go        Adoption: how many users of an org are protected
//	    org_list.go        ListOrgs
//	    org_erase.go       EraseOrg, which the sweep carries on
//	    brand.go           GetBrand and PutBrand
//	    policy_get.go      GetPolicy
//	    policy_preview.go  PreviewPolicy
//	    policy_put.go      PutPolicy
//	    export.go          ExportOrg and ExportUser: what is kept of an org or a user, for operators
//	    import.go          Import: users of another system, with their factors
//	    portal_begin.go    BeginPortalSession, and what a step-up in the portal may say
//	    portal_look.go     LookAtPortalSession
//	    activity.go        UserActivity, OrgActivity and CheckActivity
//	What the deployment calls
//	    publish.go         Publish: hands on what was committed
//	    notify.go          sends the notices of what is handed on, each once
//	    feedback.go        TakeFeedback: what a provider says of a message that came back, and what follows from that
//	    sweep.go           Sweep: announces what has ended by itself
//	    fanout.go          FanOut: tells of users whom a policy has signed out
//	    adoption_sweep.go  counts the users of all orgs once a day, as a part of Sweep
//	    sweep_status.go    StatusOfSweep
//	    checkpoint.go      Checkpoint: signs which pages of activity there are; ExportActivity and VerifyActivity
//	    published.go       the public half of the key ring
//	    replayed.go        notes which records an operator has handed on again
//	    operator.go        what operators do without an API key, by ctl
//	    restored.go        Repeat: does again what an event tells of, after the data was restored
//
// # The guard
//
// Each user has one item that decides, the guard. Two requests that could both succeed write the guard under the same
// version. So one of them loses, reads again and decides again. All other items are facts. A call reads them at the same
// time as the guard, and believes them only as far as the guard agrees.
//
//   - Challenges, enrolments, proofs, trusted browsers and the expiry entries of these carry the guard's epoch. A new epoch
//     kills them all in one write, and a user who is erased and made again inherits nothing. If only trust ends and the rest
//     stays, the guard gets a trust word, which trusted browsers then carry in place of the epoch.
//   - A guard also carries the epoch of the deployment in which it was written, which the key ring says: the moment when the
//     data was last restored from a backup. See "After a restore" below.
//   - A factor counts if the guard lists it. A TOTP code is good if its time step is later than the one that the guard has, and
//     the response of a key if its signature counter is higher.
//   - A code is good only while the guard holds its sequence number. So a verify that read the challenge before another code
//     was sent, and the guard after it, sees that they don't belong together.
//   - The guard has a slot for each challenge that something was sent for or tried against. The number of slots is bounded.
//     When there is no room for another slot, the slot of the oldest challenge is removed. That challenge is then dead, and so
//     is every challenge that has no slot and was begun before it or at the same moment.
//
// A call is judged at one moment: when it read what it decides on. Anyone who begins after a revocation, an expiry or a lock
// was answered is not let in. A call that had read before a revocation may still answer after it. For a verify that is
// impossible once the revocation has written the guard, because the verify then loses the race and is decided again. But the
// rotation of a trusted browser's token writes only the browser. So it can still answer, with a token that is dead already.
//
// # Bearers of strangers
//
// A bearer ends in a MAC under the filter key (see package seal). The MAC also covers what the bearer carries: an API key
// carries its client, the org it is limited to and its scopes; a challenge or enrolment token carries the id of its challenge;
// a portal token carries the route of its person and, for an administrator, of the org. So a bearer that was not made here, or
// that doesn't fit the call, is refused before anything is read about a user. What a stranger gets as an answer, and after what
// time, depends on no user. A good MAC lets nobody in: the hash in the store decides. A process reads the filter key once. The
// key is never replaced, because the MAC of every bearer would then be wrong.
//
// Operators are told on which day an API key was last used. A process puts an item for that day after the first call that it gets
// with the key on it, and no later one. So the other calls cost nothing more, and no item is written by all calls with a key.
//
// # When trust ends
//
// The end of a trusted browser is fixed when trust is granted, and never moves to a later time. Trust ends earlier for these
// reasons:
//
//	what happens                                            what ends                                                       cause in the event
//	a factor is removed                                     trust in every browser of the user                              factor_removed
//	2FA is turned off                                       trust in every browser                                          disabled
//	the email or phone changes                              trust in every browser, and every challenge, enrolment and      email_changed, phone_changed
//	                                                        proof
//	the client reports a new password, email or phone, a    trust in every browser, and every challenge, enrolment and      password_changed, …
//	sign-out everywhere, or that the user is deprovisioned  proof
//	(no start then until the user is put again)
//	all browsers are revoked                                trust in every browser, and every challenge, enrolment and      revoked
//	                                                        proof
//	a recovery resets the account                           all of that, and factors and recovery codes                     recovery
//	an administrator resets the account                     the same                                                        reset
//	a user enrols anew after a recovery                     all of that, and the earlier factors and recovery codes         reenrolled
//	the user is erased                                      all of it: the guard goes, then the rest                        none
//	one browser is revoked                                  trust in that one, and all known tokens of the user             revoked
//	a policy has fewer trust days                           every end moves to at most that many days after the grant       none
//	a policy has no trust days                              all trust in the org                                            none
//	a policy forbids the kind that earned it                trust that this kind earned                                     none
//	a user has more browsers than trust.cap                 trust in the oldest, at the next grant                          cap
//	a superseded token is used after its successor was      trust in its browser, and all known tokens of the user          event browser.theft_suspected
//	its time is over                                        trust in it; the sweep announces that                           event browser.expired
//
// A browser that is good for nothing any more is removed by the next commits of its user, at most five by each. The ten
// newest of those whose time is over stay for 30 days, so that a sign-in can say trust_expired.
//
// Adding or renaming a factor ends nothing. A later, looser policy brings nothing back: no trust, and no recovery codes of
// sets that were made before a policy without recovery codes. A request that begins after the call that ended trust has
// answered is always asked.
//
// # Resets that wait
//
// An administrator resets a user at once, unless the policy wants a second approver or a waiting time. Then the request waits
// in the guard, and the user is told. Who asks, who approves and the user are three people. The API keys by which the first two
// act belong to two clients, so that one stolen key is not two people; or both act in the portal, where each of them has
// stepped up. A request that is due is carried out by the next step on the user's account, in a commit of its own and before
// that step decides, or by the sweep. A challenge that was open is dead from then on. A request expires 7 days after it was
// made, or after it became due. A new address or number cancels it, and so does all that ends the user's factors. A restore
// cancels what the backup has waiting.
//
// Where the policy lets them, users who have nothing left to answer with ask for a reset themselves, at a challenge. It signs
// nobody in. The notice of a request has a link on each channel, which cancels it for as long as it waits. The waiting time runs
// from the first of these notices that a provider has taken. There is one request at a time, and none for a day after one was
// cancelled. So who only has the password waits in the sight of the owner. After the reset, the next sign-in or step-up leads to
// an enrolment that begins with a code to the address which was known at the request, whatever the policy says of require and
// enrolment_proof, and even if the client says another address by then. Until that, a password check changes nothing of the
// account. An administrator's own reset, or a factor that an administrator enrols, ends the need to prove the address.
//
// # When sessions end
//
// The client asks whether a session may go on (Introspect), and says when it began: the moment in the answer that let the user in. It
// may go on if that is later than the last moment at which all of the user's sessions were ended. Whatever gives the guard a new
// epoch ends them, and so does a restore. A save of a policy whose effect is sign_out_now ends the sessions of all users who then
// have to enrol, unless it demands no more than the policy before it, which has had that effect already.
//
// Such a save writes one cut-off, and nothing about a user: its moment, and what the policy demands. Everyone who looks at a user
// judges the cut-offs by the guard. The guard says which of them are settled, and a commit that changes what they go by settles
// all of them first. So enrolling later revives no session. The policy's item has the cut-offs that no later one covers, so that
// nothing else has to be read. An enrolment that was read before a save, and would be committed after it, loses the race for the fence
// of its user, which both of them write. A user who is seen for the first time beside a save, or gets a first address then, counts as
// one who was seen before it, or had it.
//
// The moment of a cut-off is read right before its commit, and lies as much later as a commit may take. So what is begun beside it
// is ended, too. A step that has read a cut-off which hits its user says that the session which it lets in began right after
// it, although that may be some seconds ahead.
//
// The sweep then tells the bus of each user who was signed out, and settles the cut-off for that user in the same commit. If a step of
// the user has done that before, it has told of it, too.
//
// # Grace
//
// A user who has to enrol may skip that until a date, which the policy or an administrator has set, and at most as often as the policy
// says. Both are asked when the user signs in, by what the policy says then. The guard counts the skips under policies that
// bound their number, and only an erasure forgets them. The date is a moment of the calendar, so nothing restarts it.
//
// # After a restore
//
// A backup brings back what was ended since: trust, challenges, used recovery codes, revoked API keys. So whoever restores a
// deployment gives it a new epoch, which is the moment at which that is done, in Unix seconds. The ring says it. A step brings
// each guard that it reads to that epoch before it decides. A guard of an earlier one gets a new epoch of its own, by a hash,
// so that each process comes to the same one until the guard is written. Its challenges, enrolments, proofs, trust and known
// tokens are dead with that, and so are its recovery codes: the next right answer with a factor brings a new set. Requests for
// a reset are cancelled. Factors, wrong answers and locks stay as the backup has them. An API key that was made before the
// epoch is good once an operator has confirmed it. Whatever ends a session for a moment can use the epoch as that moment, for
// all users. A process whose ring is older than a guard that it reads, reads the ring again. Repeat does erasures, removals of
// factors and deprovisionings again, from events that were handed on.
//
// # What an erasure leaves
//
// The guard, factors, browsers, the enrolment under way and the roster entry are removed. What the org's activity says of the
// user is encrypted under a key that was in the guard. From then on it says only that something happened, and when. Some items
// are not looked for, because they expire: challenges name the user until 10 minutes after their end, portal sessions for an
// hour, and for 10 minutes so does the item with the event of the erasure. An expiry entry, an activity entry and the id of a
// challenge hold the route, which is a hash. For up to a day, the count of a number is kept under a hash of the number. The
// claim of a notice holds a hash that nobody can check without what was in the guard. A remembered answer can be opened only
// with its Idempotency-Key. The id of an administrator stays with the user who was acted on. What was handed on is out of
// reach: events on the bus, the last day of the store's stream, backups.
//
// An erasure of an org erases all of its users, and then removes its policies, its activity with the checkpoints, and the API
// keys that are limited to it. What is
// filed after that, such as the last erasures, says only that something happened, and when. The list of active days names the
// org for up to 60 days.
//
// # Who may change an account
//
// Turning 2FA on or off, removing a factor, making recovery codes, and beginning an enrolment with an API key need a user
// who has given the password within the last 10 minutes, on the word of the client. While the user's 2FA is on, they need a
// proof too. That is the token of a step-up which the user has answered within the last 10 minutes, with a factor whose kind
// is not weaker than the strongest that the user can answer with. An app is enough where there is a key. So neither a
// mailbox nor a phone number takes over an account that has an app or a key. This is what a user can do who has lost
// something:
//
//	lost                                      what the user can do
//	a key, and there is an app                Step up with the app.
//	the app, and there is a recovery code     Step up with the code. That is a proof for beginning an enrolment, and for nothing else. The new
//	                                          factor is proof for the rest. The user is told about both.
//	the app, and email or SMS is a backup     Sign in with the backup, but change nothing. For a change the user needs a recovery code, or an
//	                                          administrator who enrols another factor for them.
//	everything but email, which is the only   Step up by email.
//	factor left
//	everything, because a policy forbids      Step up, or sign in where 2FA is required. Both lead to an enrolment, which begins with a code to
//	every factor of the user                  the known address, whatever the policy's enrolment_proof says. Until then nothing of the account changes.
//	                                          Without a known address an administrator has to help.
//
// A user who has enrolled the first factor at a sign-in can enrol the backup that the policy offers with the same enrolment token, until
// eight minutes after the sign-in was answered, but no longer than the token lasts. The user has just answered with that factor, so no
// other proof is asked for, but for the code that goes to the address. A user who has proven the address in this sign-in gets no second
// code. The token, which the sign-in brought, and the recovery codes don't depend on it.
//
// # The portal
//
// A client that has signed a person in can begin a portal session for them, which lasts an hour: a user's, for the user's own account,
// or an administrator's, for one org. An administrator is a user of that org or of the operator's own. Nothing here says which org is
// the operator's. So a person of another org comes in only by an API key that is good for every org.
//
// In the portal nothing counts on the word of a browser. The session says who acts, for which client, and when the client has checked
// the password. A user needs the same proofs as with an API key. An administrator needs the proof of their own step-up for every call
// that writes, because the page stands in for a client that would have answered for them. Step-ups with a portal token are for that
// alone: their action is account, or none. Where a step-up leads to an enrolment, the password must have been checked within the last
// 10 minutes. What one session can have stored is bounded: 60 step-ups, and 20 enrolments of a user.
//
// A session dies with the epoch of its person, so with all that ends the person's trust and proofs. It outlives the API key that has
// begun it, for the rest of its hour.
//
// # Security keys and passkeys
//
// A ceremony is one run of Web Authentication: options for a browser, and the response of an authenticator to them. A
// challenge or an enrolment has one ceremony at a time, and only the newest one can be answered, for 300 seconds. It is used
// once, because the right response ends its challenge or enrolment with a write that only one of many responses wins. If a
// page of a browser has asked for the options, with a token, only a page of the same origin can answer. Otherwise a page of
// any origin can that the client has registered, or a page of the deployment itself. All of the user's keys can answer a
// challenge that asks for one, and the credential id says which of them has.
//
// Keys and apps of another system are imported with what is known of them. Marks that only the guard can check tell
// what was imported for the user. So the same line again changes nothing, also after a factor was removed or reset. An imported app
// keeps its algorithm and its period, and an imported key its counter and user handle. Whether an imported key can be synced may not
// be known: then its first right response says so for good.
//
// The guard keeps each key's signature counter. A response whose counter has not grown is wrong, and an event says so,
// because the key may have been copied. A credential id belongs to one factor of one user of the whole deployment. Once the
// guard of that user doesn't list the factor any more, the id is free. The user handle is 32 random bytes, which the user
// keeps until an erasure. So a key that is enrolled again after a reset takes the place of its earlier passkey.
//
// # Limits
//
// Wrong codes of any kind, at a sign-in, an enrolment or the proof of an address: 10 in 15 minutes, 20 in a day, 100 in a
// row, per user. Wrong recovery codes: 5 in 15 minutes, 10 in a day, 100 in a row, per user. Codes by email: 10 in an hour,
// 30 in a day, per user, over all uses. A code that the provider surely didn't take is not counted, but one that it may have
// taken is. Sending another code resets nothing.
//
// Each code by SMS costs money, so there are more limits than for email. A user gets 10 in an hour and 30 in a day, or fewer
// if the policy says so. A number gets 5 in an hour and 10 in a day from an org, and all users of an org get as many in a
// day as the policy says. Enrolling a number is held to half of each, so that signing in still works when somebody enrols
// many numbers. Once the numbers of one prefix have been sent as many codes in an hour as the policy says, more are sent
// only as far as enough of the codes are answered. That doesn't hold for numbers that their users have proven. Hours and
// days of budgets that users share are those of UTC. The countries whose numbers get messages have to be named in the
// policy. If one is closed later, users keep their numbers as factors and are asked for a second factor, but nothing is sent
// there.
//
// A lock lasts 15 minutes, then twice as long each time until a right answer, but at most a day. It lasts at least until there
// is room for another wrong answer in the 15 minutes and in the day. So after 20 wrong codes it ends a day after the first of
// them. After 100 wrong answers in a row it doesn't end by itself. A right recovery code ends a lock of codes, if there is such
// room, and a new set of recovery codes ends a lock of recovery codes. The lock of codes doesn't hold for recovery codes, and
// theirs doesn't hold for codes. An administrator can end every lock of a user, whatever end it has. Then all counts of wrong
// answers start anew.
//
// With the enrolment tokens of one user, 20 enrolments can be begun until the last of the tokens expires. A browser holds such
// a token, and each beginning may leave a remembered answer in the store. So this bounds what a browser can have stored.
//
// A user has four such budgets: of codes one for known browsers and one for all other browsers, and of recovery codes the same.
// So an attacker who has only the password can't lock the owner out of a browser that the owner uses. A challenge counts in the
// first if its start came with a known token, which every verify gives; so does the enrolment that answers it. An enrolment
// that was begun with an API key counts in the other. The 100 in a row are counted over known and other browsers together. A
// right answer ends the row, and the lock of its own budget if there is room in it. An account shows the lock of browsers that
// aren't known. A known token is an HMAC over the epoch and a word in the guard that only known tokens are bound to. A new
// epoch ends it. So does a new word, which the guard gets when one browser is revoked or a theft is suspected.
//
// Nobody can guess the response of a security key or a passkey. So a wrong one counts against its challenge or enrolment, and
// never against the user, and no lock refuses a right one. A challenge or an enrolment can begin 30 ceremonies.
//
// A policy that allows fewer attempts also holds for what is open already: a challenge or an enrolment that has had so many
// wrong answers is over. Starts have no limit of their own. A client starts a challenge once it has seen the right password,
// and limits passwords itself. A start that sends a code is bound by the limit of codes. One that sends none writes a
// challenge that expires. These are not counted, because every sign-in by app would then need another write. The HTTP API's
// throttle bounds all callers together.
//
// # What a user is told
//
// A user is told by email about every lock, and about every change of how the account is protected. The notice goes to the
// person, the address and the language of the moment when it happened, and after a change of the address to the earlier address
// too. A user without an address is told by SMS, at every number that they have enrolled. Of a reset by a recovery code or by
// an administrator, and of a change of the address, the phone or an enrolled number, the user is told by email and by SMS. A
// user who has just enrolled a number is not told at that number. An SMS costs money. So a number gets 10 such notices from an
// org in a day, all users of an org together get as many as sms.daily_cap allows codes, and a notice by SMS that may have been
// taken is never sent again. Notices have a budget of their own, 20 in a day. More than that wait in the guard. When there is
// room they come as one notice that sums up, with the next commit of the user's guard or by the sweep. A reset, a pass, and a
// change of the address or the phone, never wait. A notice is claimed before it is sent, so a record that is handed on twice
// sends it once. If the answer of the provider was lost, the notice is sent once more. If the provider refused it, that is
// recorded as delivery.failed, and the notice is not tried again.
//
// Up to five addresses that the policy names are told of locks, of requests for a reset, and of what an approver is needed for. All
// of an org's together get 100 such messages in a day.
//
// Messages, notices and authenticator apps give the name of the org's brand. If the org has none, they give the name of the
// client whose call caused them, or the deployment's name if the client's API key has none. What is sent for a challenge
// without a brand gives the name under which the challenge was begun, whether
// its token or an API key goes on with it. A notice that sums up what clients of several names have caused gives the
// deployment's name.
//
// # Messages that come back
//
// The provider may say of a message that it came back: a mail server refused it for good, or its reader complained about it.
// This is recorded as factor.undeliverable, and the user is told by SMS, if they have enrolled a number. For 24 hours
// nothing is sent to the address by itself. A start asks for another factor first. If the address is all that the user has,
// the answer has no code and says delivery_failed. The user can ask for one code there all the same, at a sign-in, a step-up or
// an enrolment. If that comes back too, the 24 hours begin again. They end early if a code that was sent there comes back as
// an answer, or if the account gets another address. Notices still go to the address, and to the user's numbers too.
//
// A message carries the route of its user, the id of its factor and a hash of its address, which the provider says again. So
// what comes back late or several times, or from an address that is none of the user's any more, changes nothing.
//
// # What it refuses to do
//
// It stores no code, no bearer and no trust token, only digests and hashes that are bound to what they are for. It never
// takes the time, the caller or an address from the body of a request where one of them decides. It never asks which of
// the named policies, such as kls, a policy was made from.
package mfa
