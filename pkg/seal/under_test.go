package seal

import "testing"

func TestWhatIsSealedUnderASecretOpensWithAllOfTheSameOnly(t *testing.T) {
	f := NewFilter()
	secret, other := f.NewBearer(Handle, nil), f.NewBearer(Handle, nil)
	sealed := SealUnder(secret, "handle", []string{"cancel", "x"}, []byte("token"))
	if got, err := OpenUnder(secret, "handle", []string{"cancel", "x"}, sealed); err != nil || string(got) != "token" {
		t.Fatalf("got %q, %v, want what was sealed", got, err)
	}
	altered := append([]byte(nil), sealed...)
	altered[len(altered)/2] ^= 1
	for name, open := range map[string]func() ([]byte, error){
		"another secret":  func() ([]byte, error) { return OpenUnder(other, "handle", []string{"cancel", "x"}, sealed) },
		"another purpose": func() ([]byte, error) { return OpenUnder(secret, "token", []string{"cancel", "x"}, sealed) },
		"another binding": func() ([]byte, error) { return OpenUnder(secret, "handle", []string{"cancelx"}, sealed) },
		"an altered text": func() ([]byte, error) { return OpenUnder(secret, "handle", []string{"cancel", "x"}, altered) },
		"no text":         func() ([]byte, error) { return OpenUnder(secret, "handle", []string{"cancel", "x"}, nil) },
	} {
		if got, err := open(); err == nil {
			t.Errorf("%s: opened %q", name, got)
		}
	}
}
