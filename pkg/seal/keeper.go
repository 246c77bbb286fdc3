package seal

import "context"

// Keeper fetches and caches the ring of a deployment. It is safe for concurrent use. If it can't get the ring, both methods
// fail, and nobody can sign in: there is no other ring to use instead.
type Keeper interface {
	// Ring returns the cached ring. If that is older than RingAge, it fetches the ring again.
	Ring(ctx context.Context) (*Ring, error)

	// Reload fetches the ring again after the call began, and caches it. It must be cheap, because anyone can cause a reload
	// with a forged key id. So an implementation decrypts the ring only if it has changed. Otherwise it returns the cached
	// ring, with the same pointer, because that ring has its derived keys already.
	Reload(ctx context.Context) (*Ring, error)
}
