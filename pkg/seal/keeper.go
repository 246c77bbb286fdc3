package seal

import "context"

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
