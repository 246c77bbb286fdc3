package keyring

import (
	"context"
	"testing"
	"time"

	"countersign/pkg/store"
)

// between calls a function once, right after the first read of an item.
type between struct {
	store.Store
	do func() error
}

func (b *between) Get(ctx context.Context, keys ...store.Key) ([]store.Item, error) {
	items, err := b.Store.Get(ctx, keys...)
	if do := b.do; err == nil && do != nil {
		b.do = nil
		err = do()
	}
	return items, err
}

// When a run comes to do what it has found to be due, another process may have done that already, or something newer.
func TestARingThatIsTendedByTwoAtOnceIsTendedOnce(t *testing.T) {
	for _, c := range []struct {
		name    string
		after   time.Duration // since the ring was made, or since the first rotation
		rotated bool          // whether there was a first rotation
		beside  func(*Keeper, context.Context) error
		secrets int
		signers int // the number of signers right after the run
		later   int // the number of signers once the retired ones have been dropped
	}{
		{"a rotation beside a rotation", rotateEvery, false, func(k *Keeper, ctx context.Context) error { return k.Rotate(ctx) }, 2, 2, 1},
		{"a retirement beside a rotation", retireAfter, true, func(k *Keeper, ctx context.Context) error { return k.Rotate(ctx) }, 3, 2, 1},
		{"a retirement beside a retirement", retireAfter, true, func(k *Keeper, ctx context.Context) error { _, err := k.Tend(ctx); return err }, 2, 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			ringOf(t, w.open())
			if c.rotated {
				w.At = w.At.Add(rotateEvery)
				if changed, err := w.open().Tend(t.Context()); err != nil || !changed {
					t.Fatalf("got %v, %v, want a rotation", changed, err)
				}
			}
			w.At = w.At.Add(c.after)
			keys := w.open()
			keys.store = &between{Store: keys.store, do: func() error { return c.beside(w.open(), t.Context()) }}
			if changed, err := keys.Tend(t.Context()); err != nil || changed {
				t.Errorf("got changed %v, %v, want it left to the other", changed, err)
			}
			count := func(when string, signers int) {
				t.Helper()
				ring := ringOf(t, w.open())
				if got := len(ring.KeyIDs()); got != c.secrets {
					t.Errorf("%s: got %d secrets, want %d", when, got, c.secrets)
				}
				if got := signingKeys(t, ring); got != signers {
					t.Errorf("%s: got %d signing keys published, want %d", when, got, signers)
				}
			}
			count("at once", c.signers)
			w.At = w.At.Add(retireAfter)
			if _, err := w.open().Tend(t.Context()); err != nil {
				t.Fatal(err)
			}
			count("later", c.later)
		})
	}
}
