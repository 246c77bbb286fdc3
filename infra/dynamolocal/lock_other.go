//go:build !unix

package dynamolocal

import "context"

// lock does nothing here: two installs at once both download, and the second finds the folder there and fails.
func lock(context.Context, string) (unlock func(), err error) { return func() {}, nil }
