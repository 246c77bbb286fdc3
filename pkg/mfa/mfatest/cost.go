package mfatest

import "countersign/pkg/store"

// A Cost is what a step asks of the store.
type Cost struct {
	Step   string
	Rounds int // round trips in sequence; reads at the same time are one
	Items  int // items that it writes
	Counts int // calls of Count, which read the counts of shared budgets or add to them
}

// Costs is the table of what each step asks of the store. A test of package mfa counts every row, and fails when a step asks
// for more or for less; the bench prints the rows in this order.
func Costs() []Cost {
	return []Cost{
		{"start, not asked", 1, 0, 0},
		{"start, not asked, a user's first sight", 2, 2, 0},
		{"start, not asked, with an Idempotency-Key", 2, 1, 0},
		{"start, through SSO", 1, 0, 0},
		{"start, trusted without rotation", 1, 0, 0},
		{"start, trusted and rotated", 2, 1, 0},
		{"start, trusted, after an answer that was lost", 1, 0, 0},
		{"start, by email", 2, 2, 0},
		{"start, by email, a user's first sight", 2, 3, 0},
		{"start, by email, with an Idempotency-Key", 3, 4, 0},
		{"start, by email, over the limit", 2, 1, 0},
		{"start, by SMS", 3, 2, 8},
		{"start, by SMS, over the user's own budget", 2, 1, 0},
		{"start, by app", 2, 1, 0},
		{"start, with a key", 2, 1, 0},
		{"start, to enrol", 2, 1, 0},
		{"start, let in by grace", 2, 1, 0},
		{"start, let in by grace, with a skip", 2, 2, 0},
		{"start, locked", 1, 0, 0},
		{"decide", 1, 0, 0},
		{"look at a challenge", 1, 0, 0},
		{"send again, by email", 2, 2, 0},
		{"send again, by email, with an Idempotency-Key", 3, 4, 0},
		{"send again, by SMS", 3, 2, 8},
		{"send with a key", 2, 1, 0},
		{"verify, right", 2, 1, 0},
		{"verify, wrong", 2, 1, 0},
		{"verify, the wrong one that locks", 2, 1, 0},
		{"verify, locked", 1, 0, 0},
		{"verify with trust", 2, 3, 0},
		{"verify with trust and an Idempotency-Key", 2, 4, 0},
		{"verify by app, right", 2, 1, 0},
		{"verify by app, wrong", 2, 1, 0},
		{"verify by app, with trust", 2, 3, 0},
		{"verify by SMS, right", 2, 1, 0},
		{"verify with a key", 2, 1, 0},
		{"verify with a key, wrong", 2, 1, 0},
		{"recover, which signs in", 2, 1, 0},
		{"recover, which removes all factors", 2, 3, 0},
		{"recover, which removes all factors, to enrol", 2, 4, 0},
		{"recover, to enrol before anything is ended", 2, 2, 0},
		{"enrol, begin, an app", 2, 1, 0},
		{"enrol, begin, a key", 2, 1, 0},
		{"enrol, begin, email", 2, 2, 0},
		{"enrol, begin, email, with an Idempotency-Key", 3, 4, 0},
		{"enrol, begin, SMS", 3, 2, 9},
		{"enrol, finish, with recovery codes", 2, 5, 0},
		{"enrol, finish, wrong", 2, 1, 0},
		{"finish with a key", 2, 6, 0},
		{"finish with a key, whose credential id is taken over", 3, 6, 0},
		{"new recovery codes", 2, 1, 0},
		{"turn 2FA off", 2, 2, 0},
		{"remove a factor", 2, 3, 0},
		{"revoke all browsers", 2, 1, 0},
		{"report a changed password", 2, 1, 0},
		{"put a user, unchanged", 1, 0, 0},
		{"put a user, another email", 2, 2, 0}, // the guard, and the roster entry, by whose address users are looked up
		{"put a policy", 2, 1 + store.Copies, 0},
		{"put a policy that signs users out", 2, 1 + store.Copies + 9, 0},
		{"require 2FA of one user", 2, 3, 0},
		{"introspect a session", 1, 0, 0},
	}
}
