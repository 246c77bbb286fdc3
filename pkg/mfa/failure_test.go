package mfa_test

import (
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/store/fault"
)

// failLater lets so many calls of a method pass and makes all after them fail.
func failLater(w *mfatest.World, method fault.Method, pass int) {
	w.Faults.Inject(method, pass, fault.Fault{})
	w.Faults.Inject(method, -1, fault.Fail(nil))
}
