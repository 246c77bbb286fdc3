package apikey

// What Revoke fails with.
var (
	ErrNotFound = errNotFound
	ErrBusy     = errBusy
)
