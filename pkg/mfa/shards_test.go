package mfa_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"testing"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
	"countersign/pkg/store"
)

// A partition takes a thousand writes a second. So the many lines of an org's roster and the many ends in an hour are spread
// over several partitions.
func TestTheUsersOfAnOrgAndTheEndsOfAnHourAreSpreadOverTheirPartitions(t *testing.T) {
	const users = 200
	w := kls(t, nil)
	for i := range users {
		q := ana()
		q.User.ID = fmt.Sprintf("u-%03d", i)
		answer, err := verify(t, w, started(t, w, q).ID, w.Outbox.Code(t, mail), true)
		if err != nil || answer.TrustedBrowser == nil {
			t.Fatalf("got %+v, %v, want a trusted browser", answer, err)
		}
	}
	sum := sha256.Sum256(seal.Join(org))
	roster, due := map[string]int{}, map[string]int{}
	for shard := range 16 {
		roster[fmt.Sprintf("roster#%s#%x", base64.RawURLEncoding.EncodeToString(sum[:16]), shard)] = users / 16
	}
	for shard := range 4 {
		due[fmt.Sprintf("due#%s#%d", w.Clock.Now().Add(30*day).Format("2006-01-02T15"), shard)] = users / 4
	}
	for what, partitions := range map[string]map[string]int{"lines of the roster": roster, "ends": due} {
		all := 0
		for partition, fair := range partitions {
			n := itemsIn(t, w, partition)
			if all += n; n < fair/4 || n > fair*4 {
				t.Errorf("%s: got %d in %s, want about %d", what, n, partition, fair)
			}
		}
		if all != users {
			t.Errorf("%s: got %d, want %d", what, all, users)
		}
	}
	if p, err := w.PreviewPolicy(t.Context(), w.Client, org, profile(t, "kls")); err != nil || p.Users != users {
		t.Errorf("got %+v, %v, want a preview of all users", p, err)
	}
	w.Clock.Advance(30 * day)
	sweep(t, w)
	if got := len(events(t, w, mfa.BrowserExpired)); got != users {
		t.Errorf("got %d ends announced, want %d", got, users)
	}
}

func itemsIn(t *testing.T, w *mfatest.World, partition string) int {
	t.Helper()
	page, err := w.Store.Query(t.Context(), store.Query{Partition: partition})
	if err != nil || page.More {
		t.Fatalf("got more: %v, %v, want one page", page.More, err)
	}
	return len(page.Items)
}
