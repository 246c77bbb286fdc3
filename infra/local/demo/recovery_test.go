package demo_test

import "testing"

func TestWhoLostTheAppSetsUpAnotherByARecoveryCode(t *testing.T) {
	b := in(t)
	codes := b.setUp()
	b.later("seconds")
	b.submit("/demo/change", "what", "app")
	b.want("Confirm it’s you", "Open the authenticator app")
	b.way("Use a recovery code")
	b.submit("/demo/recover", "code", codes[0])
	b.want("Set up your app")
}
