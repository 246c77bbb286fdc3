package demo_test

import (
	"strings"
	"testing"
	"time"
)

// lockedByAStranger has somebody who only has ana's password guess in a browser of their own until nothing more is looked
// at there.
func (b *browser) lockedByAStranger() {
	b.t.Helper()
	owners, page := b.http, b.page
	b.clear()
	b.get()
	for range 2 {
		b.signIn("ana")
		b.guess()
	}
	b.signIn("ana")
	b.want("There were too many wrong codes")
	b.http, b.page = owners, page
	b.get()
}

// guess gives wrong codes until the sign-in ends.
func (b *browser) guess() {
	b.t.Helper()
	code := b.code()
	for range 5 {
		b.submit("/demo/code", "code", wrong(code))
	}
}

func TestAStrangersGuessesDontLockTheUserOutOfABrowserThatWasLetInBefore(t *testing.T) {
	b := in(t)
	b.submit("/demo/sign-out")
	b.lockedByAStranger()
	b.signIn("ana")
	b.submit("/demo/code", "code", b.code())
	b.want("Hello, ana")
}

func TestAStrangersGuessesDontKeepTheUserFromConfirmingAChange(t *testing.T) {
	b := in(t)
	b.lockedByAStranger()
	b.ask("app")
	b.want("Set up your app")
}

func TestABrowserIsKnownForAYearAndPerUser(t *testing.T) {
	b := in(t)
	b.ask("app")
	b.submit("/demo/cancel")
	b.submit("/demo/sign-out")
	b.signIn("bob")
	b.submit("/demo/code", "code", b.code())
	names := map[string]int{}
	for _, c := range b.set {
		if strings.HasPrefix(c.Name, "demo_known_") {
			names[c.Name]++
			wanted(t, "seconds that it is kept", c.MaxAge, int(365*24*time.Hour/time.Second))
		}
	}
	if len(names) != 2 {
		t.Errorf("got %v, want one cookie for ana and one for bob", names)
	}
}
