package mfa

import (
	"errors"
	"testing"

	"countersign/pkg/store"
)

// A fence may be read after a save, and the policy before it, because both are read at once. Then the enrolment is decided again.
func TestAnEnrolmentThatHasReadAnOlderPolicyThanTheFenceIsDecidedAgain(t *testing.T) {
	p := &orgPolicy{CutOffs: []cutoff{{Version: 2}, {Version: 4}}}
	for version, passes := range map[int]bool{0: true, 3: true, 4: true, 5: false} {
		u := &unit{}
		f := &fence{Version: version}
		f.Item.Key = store.Key{Partition: "fence#o#1", Sort: "fence"}
		err := u.pass(f, p)
		if passes && (err != nil || len(u.writes) != 1) || !passes && !errors.Is(err, store.ErrConflict) {
			t.Errorf("a fence of version %d: got %v and %d writes, want to pass: %t", version, err, len(u.writes), passes)
		}
	}
}
