//go:build !unix

package dynamolocal

import "context"

// lock does nothing, because this system has no file locks. If two processes install at once, both download, and the second
// fails because it finds the folder of the first.
func lock(context.Context, string) (unlock func(), err error) { return func() {}, nil }
