package main

import "testing"

func TestWhatIsTimedOnTheLocalServerIsASignInByAnAppAndSpendsItsCode(t *testing.T) {
	l, err := buildLocal(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer server.close()
	const n = 8
	complete, err := server.prepare(t.Context(), n, 4)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := complete(i); err != nil {
			t.Errorf("sign-in %d: got %v, want none", i, err)
		}
		if complete(i) == nil {
			t.Errorf("sign-in %d was completed twice", i)
		}
	}
}
