// Package walk holds the exhaustive check of package mfa. It takes small worlds, in each of which a few calls are made at
// once, and goes through every way in which these calls can meet. It holds tests only.
//
// # What it goes through
//
// A stage is such a world: what there is before the calls, the calls, and what must hold at the end besides what must hold
// on every stage. The calls are those of the service itself. Whatever a call asks of the store waits until the walker lets
// it go on, so the walker decides what happens next. It tries:
//
//   - every order of reads and commits, as far as it makes a difference: the reads of a call are carried out together, and some of
//     them ahead of the others only right before something changes what they find,
//   - for every commit, that it is carried out, that its answer is lost, or that the process dies while it waits for the
//     answer; in the last two cases the commit may still land at any later moment, or never,
//   - every moment for the clock to jump, where the stage says by how much,
//   - on some stages, that the guard is read at another moment than what is read with it, as DynamoDB may do.
//
// Two schedules that have led to the same state go on in the same way. So the walker turns back where it comes to a state
// that it has seen, and a few thousand walks stand for millions of schedules. A state is all that can make a difference:
// what the store holds, what the calls have read and want to write, and what was answered. Of a random value, it matters only
// in which places the same value stands. TestTurningBackMissesNoOutcome compares this walk with one that never turns back, and
// TestReadingTogetherMissesNoOutcome with one that carries out every read by itself.
//
// Nothing in a schedule is left to chance, so that it can be repeated: two moves for which a call waits at once have different
// names, or the stage is at fault.
//
// The walk sees records as ctl show prints them. A table (fields) says what each field of each record means to the walk,
// which fails if it meets a field that isn't in the table. The tests also fail if no walk meets a field of the table, a fate
// of a commit or a kind of call.
//
// # What must hold
//
//	I1   Each challenge, step of an app, recovery code, enrolment and proof has one success, and only with its right code.
//	     The step that enrolled an app is spent, and so is every step before one that was accepted. The signature counter
//	     of a key never goes back, and moves only with a response that was accepted. A credential id belongs to at most one
//	     of the factors that guards list, and that factor has claimed it. A pass signs in once. A request for a reset is either
//	     carried out or cancelled, once, and the account is as the answer to that says. A handle is redeemed once.
//	I2   Every answer that is checked is counted. There are never more of them than the caps of a challenge and of a user
//	     allow. Codes and recovery codes have separate caps. Wrong responses of keys count against their challenge alone:
//	     they lock no codes, and a lock of codes refuses no key. No change of the account forgets a count. If something is
//	     locked, an unlock forgets all counts, and a call that begins after its answer is not locked.
//	I3   Nothing succeeds that begins or is recorded after the answer that ended it: a lock, an end, a revocation, a reset, a
//	     removal, a new set of recovery codes, another enrolment, or the revocation of a pass. From the moment at which a reset
//	     is due, nothing succeeds with what was open before it. No browser that was trusted before is trusted after it. No
//	     session goes on that a reset or a policy has ended, however late the call lands that has begun it.
//	I4   Nothing that belongs to one user or one challenge works for another.
//	I9   No more messages are handed over than a budget of the org has room for, and each of them is counted. A message that
//	     was not handed over is not counted, if no commit was lost.
//	I10  A call that is tried again, by the service or by its caller, is told the truth. It is counted once, unless another
//	     answer to the same challenge was recorded in between. The recovery codes that it was shown are those that work.
//
// Nothing is left of a user who was erased. To find out what still works in the end, the walk asks the service itself, on a
// copy of the store.
//
// Three things are allowed. What is decided in time may be answered after the end of a code or of trust. A sign-in in a
// trusted browser writes no guard, so one that began before a revocation was answered may succeed after it. The beginning of
// another WebAuthn ceremony writes no guard either, so a response to the earlier ceremony may succeed after it if the call
// with this response began before the answer.
//
// # How to run it
//
// By default every stage is walked with few lost commits. With COUNTERSIGN_ROUNDS=full (infra/test -full) there are more of
// them, and more calls on some stages; that takes half an hour of one core. With the race detector there are fewer than by
// default.
//
//	go test ./pkg/mfa/walk
//	go test ./pkg/mfa/walk -run 'NoSchedule/the_lock_ends'
//	COUNTERSIGN_ROUNDS=full go test ./pkg/mfa/walk -v -timeout 0 -run 'NoSchedule/the_lock_ends'
//
// With -v each stage says every minute how far it has come. A schedule that breaks an invariant is printed step by step.
//
// # Where to look
//
//	walk_test.go         the tests
//	stage_test.go        what a stage is
//	stages_…_test.go     the stages
//	before_test.go       what there can be before the calls
//	app_test.go          a user's authenticator app
//	key_test.go          a user's key, and the calls that it answers
//	claims_test.go       who owns a credential id, and the signature counters of keys
//	calls_test.go        the calls
//	answers_test.go      what was answered
//	schedule_test.go     what can happen next, and what then happens
//	reads_test.go        which reads can happen next
//	actor_test.go        a caller, and the store as its calls see it
//	walker_test.go       how all schedules are gone through
//	state_test.go        when two states are the same
//	records_test.go      what is read of records
//	fields_test.go       what their fields mean
//	effects_test.go      what calls did to the guard and to each other
//	invariants_test.go   what must hold for each call
//	lasting_test.go      what must hold when all is over
//	probe_test.go        what would still work then
//	coverage_test.go     what the walks have met
//	progress_test.go     how far they have come
package walk
