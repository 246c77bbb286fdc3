package seal

import (
	"context"
	"errors"
	"fmt"
)

// Keeper has a deployment's ring. It is safe for concurrent use. When the ring can't be had, both methods fail, and
// nobody gets in: there is no ring to fall back on.
type Keeper interface {
	// Ring gives the cached ring, or asks the source if the cached one is older than RingAge.
	Ring(ctx context.Context) (*Ring, error)

	// Reload asks the source again, after the call began, and caches what it gives. Callers can bring about a reload with
	// a forged key id, so it must be cheap: an implementation unwraps only what changed, and gives the cached ring, the same
	// pointer, if nothing did, because that one has its derived keys.
	Reload(ctx context.Context) (*Ring, error)
}

// WithReload calls do with the keeper's cached ring, and if that fails with ErrUnknownKey, once more with a reloaded one.
// An ErrUnknownKey that is still there is returned as it is.
func WithReload(ctx context.Context, keeper Keeper, do func(*Ring) error) error {
	ring, err := keeper.Ring(ctx)
	if err != nil {
		return fmt.Errorf("seal: get the key ring: %w", err)
	}
	if err := do(ring); !errors.Is(err, ErrUnknownKey) {
		return err
	}
	ring, err = keeper.Reload(ctx)
	if err != nil {
		return fmt.Errorf("seal: reload the key ring: %w", err)
	}
	return do(ring)
}
