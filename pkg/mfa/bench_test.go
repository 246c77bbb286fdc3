package mfa_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
)

// BenchmarkVerify answers challenges with right codes, 64 at a time and each by a different user, on the durable store.
func BenchmarkVerify(b *testing.B) {
	w := mfatest.New(b)
	w.SetPolicy(b, org, "kls", nil)
	ids, codes := make([]string, b.N), make([]seal.Secret, b.N)
	for i := range b.N {
		address := fmt.Sprintf("u%d@acme.example", i)
		answer, err := w.StartChallenge(b.Context(), w.Client, mfa.StartRequest{
			Org: org, User: mfa.Person{ID: fmt.Sprintf("u-%d", i), Email: mfa.Some(address)},
		})
		if err != nil {
			b.Fatal(err)
		}
		ids[i], codes[i] = answer.Challenge.ID, w.Outbox.Code(b, address)
	}
	var next atomic.Int64
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			i := next.Add(1) - 1
			if _, err := w.Verify(b.Context(), w.Client, mfa.VerifyRequest{Challenge: ids[i], Answer: mfa.Answer{Code: codes[i]}}); err != nil {
				b.Error(err)
			}
		}
	})
}
