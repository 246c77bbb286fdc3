package seal

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

var (
	factorFields = []string{"acme", "u-17", "fa_1"}
	factorSecret = []byte("12345678901234567890")
)

// foreign are lists of fields that are similar to factorFields, and different from it.
var foreign = map[string][]string{
	"other org":             {"acmf", "u-17", "fa_1"},
	"other user":            {"acme", "u-18", "fa_1"},
	"other factor":          {"acme", "u-17", "fa_2"},
	"order":                 {"u-17", "acme", "fa_1"},
	"run together":          {"acmeu-17", "fa_1"},
	"cut elsewhere":         {"acm", "eu-17", "fa_1"},
	"one missing":           {"acme", "u-17"},
	"first missing":         {"u-17", "fa_1"},
	"one more, empty":       {"acme", "u-17", "fa_1", ""},
	"one more before":       {"", "acme", "u-17", "fa_1"},
	"letter case":           {"Acme", "u-17", "fa_1"},
	"joined by us":          {string(Join(factorFields...))},
	"none":                  nil,
	"purpose as first":      {"totp", "acme", "u-17", "fa_1"},
	"trailing zero byte":    {"acme\x00", "u-17", "fa_1"},
	"trailing space":        {"acme ", "u-17", "fa_1"},
	"all empty, three long": {"", "", ""},
}

func TestWhatIsSealedOpensWithTheSamePurposeAndFields(t *testing.T) {
	ring := NewRing(start)
	for _, plaintext := range [][]byte{factorSecret, {}, bytes.Repeat([]byte{7}, 1<<16)} {
		sealed := ring.Seal("totp", factorFields, plaintext)
		if got, want := len(sealed), len(plaintext)+sealedOverhead; got != want {
			t.Errorf("sealed to %d bytes, want %d", got, want)
		}
		got, err := ring.Open("totp", factorFields, sealed)
		if err != nil || !bytes.Equal(got, plaintext) {
			t.Errorf("opened to %d bytes, %v; want the %d sealed", len(got), err, len(plaintext))
		}
		got, err = ring.OpenWith([]byte("key"), "answer", factorFields, ring.SealWith([]byte("key"), "answer", factorFields, plaintext))
		if err != nil || !bytes.Equal(got, plaintext) {
			t.Errorf("with a key of the caller's: opened to %d bytes, %v; want the %d sealed", len(got), err, len(plaintext))
		}
	}
	a, b := ring.Seal("totp", factorFields, factorSecret), ring.Seal("totp", factorFields, factorSecret)
	if bytes.Equal(a[sealedHeader:], b[sealedHeader:]) || bytes.Contains(a, factorSecret) {
		t.Error("the nonce is used twice, or the plaintext is there to see")
	}
}

func TestASealedValueDoesNotOpenForAnotherPurposeOrOtherFields(t *testing.T) {
	ring := NewRing(start)
	sealed := ring.Seal("totp", factorFields, factorSecret)
	with := ring.SealWith([]byte("key"), "totp", factorFields, factorSecret)
	for name, fields := range foreign {
		refuseOpen(t, name, func() ([]byte, error) { return ring.Open("totp", fields, sealed) })
		refuseOpen(t, name+", with", func() ([]byte, error) { return ring.OpenWith([]byte("key"), "totp", fields, with) })
	}
	for _, purpose := range []string{"", "totq", "TOTP", "totp ", "totp\x00", "seal", "digest"} {
		refuseOpen(t, "purpose "+purpose, func() ([]byte, error) { return ring.Open(purpose, factorFields, sealed) })
		refuseOpen(t, "with, purpose "+purpose, func() ([]byte, error) { return ring.OpenWith([]byte("key"), purpose, factorFields, with) })
	}
	for _, extra := range []string{"", "Key", "key ", "ke", "key\x00"} {
		refuseOpen(t, "extra "+extra, func() ([]byte, error) { return ring.OpenWith([]byte(extra), "totp", factorFields, with) })
	}
	refuseOpen(t, "sealed with, opened without", func() ([]byte, error) { return ring.Open("totp", factorFields, with) })
	refuseOpen(t, "sealed without, opened with", func() ([]byte, error) { return ring.OpenWith(nil, "totp", factorFields, sealed) })
}

func refuseOpen(t *testing.T, name string, open func() ([]byte, error)) {
	t.Helper()
	if got, err := open(); err != errOpen || got != nil {
		t.Errorf("%s: got %d bytes, %v; want none, %v", name, len(got), err, errOpen)
	}
}

func TestThePurposeIsBoundEvenUnderOneKey(t *testing.T) {
	ring := NewRing(start)
	key := ring.newest()
	aead := key.derive(useSeal, "totp").aead
	sealed := key.seal(aead, "totp", factorFields, factorSecret)
	refuseOpen(t, "another purpose", func() ([]byte, error) { return key.open(aead, "phone", factorFields, sealed) })
	refuseOpen(t, "purpose moved to the fields", func() ([]byte, error) {
		return key.open(aead, "", append([]string{"totp"}, factorFields...), sealed)
	})
}

func TestEveryUseAndPurposeHasAKeyOfItsOwn(t *testing.T) {
	key := NewRing(start).newest()
	seen := map[string]string{string(key.master): "the secret", string(key.root): "the root"}
	for _, u := range []use{useSeal, useSealWith, useDigest, useMAC} {
		for _, purpose := range []string{"", "totp", "code"} {
			name := string(u) + " " + purpose
			derived := string(key.derive(u, purpose).key)
			if other, ok := seen[derived]; ok || len(derived) != 32 {
				t.Errorf("%s has %d bytes, want 32; the same key as %q", name, len(derived), other)
			}
			seen[derived] = name
		}
	}
	sealed := key.seal(key.aeadWith([]byte("key"), "totp"), "", nil, factorSecret)
	refuseOpen(t, "with, another purpose", func() ([]byte, error) { return key.open(key.aeadWith([]byte("key"), "code"), "", nil, sealed) })
}

func TestASealedValueThatIsDamagedAnywhereIsRefused(t *testing.T) {
	ring := NewRing(start)
	sealed := ring.Seal("totp", factorFields, factorSecret)
	for i := range sealed {
		for bit := range 8 {
			damaged := bytes.Clone(sealed)
			damaged[i] ^= 1 << bit
			want := errOpen
			if i >= 1 && i < sealedHeader {
				want = ErrUnknownKey
			}
			if got, err := ring.Open("totp", factorFields, damaged); err != want || got != nil {
				t.Errorf("byte %d bit %d: got %d bytes, %v; want none, %v", i, bit, len(got), err, want)
			}
		}
	}
	for n := range len(sealed) {
		if got, err := ring.Open("totp", factorFields, sealed[:n]); err != errOpen || got != nil {
			t.Errorf("cut to %d bytes: got %d bytes, %v; want none, %v", n, len(got), err, errOpen)
		}
	}
	refuseOpen(t, "one byte more", func() ([]byte, error) { return ring.Open("totp", factorFields, append(slices.Clip(sealed), 0)) })
}

func TestTheKeyNamedInASealedValueIsBoundToIt(t *testing.T) {
	ring, err := NewRing(start).Rotate(start)
	if err != nil {
		t.Fatal(err)
	}
	sealed := ring.Seal("totp", factorFields, factorSecret)
	copy(sealed[1:], ring.secrets[0].rawID[:])
	refuseOpen(t, "another key of the ring", func() ([]byte, error) { return ring.Open("totp", factorFields, sealed) })
}

func TestAnotherDeploymentsRingDoesNotHaveTheKey(t *testing.T) {
	ours, theirs := NewRing(start), NewRing(start)
	sealed := theirs.Seal("totp", factorFields, factorSecret)
	if _, err := ours.Open("totp", factorFields, sealed); err != ErrUnknownKey {
		t.Errorf("Open: %v, want %v", err, ErrUnknownKey)
	}
	if _, err := ours.OpenWith([]byte("key"), "totp", factorFields, sealed); err != ErrUnknownKey {
		t.Errorf("OpenWith: %v, want %v", err, ErrUnknownKey)
	}
	if _, err := ours.SealedUnder(sealed); err != ErrUnknownKey {
		t.Errorf("SealedUnder: %v, want %v", err, ErrUnknownKey)
	}
	if id, err := theirs.SealedUnder(sealed); err != nil || id != theirs.Newest() {
		t.Errorf("SealedUnder: %q, %v; want %q", id, err, theirs.Newest())
	}
	if _, err := ours.Check(theirs.Digest("code", "a"), "code", "a"); err != ErrUnknownKey {
		t.Errorf("Check: %v, want %v", err, ErrUnknownKey)
	}
	if _, err := ours.mac(theirs.Newest(), "browser", []string{"a"}); err != ErrUnknownKey {
		t.Errorf("MAC: %v, want %v", err, ErrUnknownKey)
	}
}

func TestADigestMatchesOnlyItsFields(t *testing.T) {
	ring := NewRing(start)
	digest := ring.Digest("code", factorFields...)
	if got, err := ring.Check(digest, "code", factorFields...); err != nil || !got {
		t.Fatalf("Check = %v, %v; want true", got, err)
	}
	for name, fields := range foreign {
		if got, err := ring.Check(digest, "code", fields...); err != nil || got {
			t.Errorf("%s: Check = %v, %v; want false", name, got, err)
		}
	}
	for _, purpose := range []string{"", "codf", "Code", "code\x00"} {
		if got, err := ring.Check(digest, purpose, factorFields...); err != nil || got {
			t.Errorf("purpose %q: Check = %v, %v; want false", purpose, got, err)
		}
	}
	raw, ok := decode(digest)
	if !ok || len(raw) != keyIDSize+16 || encode(raw[:keyIDSize]) != ring.Newest() {
		t.Errorf("a digest has not its form: %d characters", len(digest))
	}
}

func TestADigestHasOneSpelling(t *testing.T) {
	ring := NewRing(start)
	digest := ring.Digest("code", factorFields...)
	for i := range digest {
		for c := range byte(255) {
			changed := digest[:i] + string([]byte{c}) + digest[i+1:]
			if changed == digest {
				continue
			}
			if got, err := ring.Check(changed, "code", factorFields...); got {
				t.Errorf("character %d as byte %d: Check = %v, %v; want false", i, c, got, err)
			}
		}
	}
	for _, text := range []string{"", ".", ring.Newest(), digest[:31], digest[:28], digest[11:], digest + "A", digest + "AAAA", digest + "=", digest + "\n", "\n" + digest, digest[:12] + "\n" + digest[12:], digest + digest} {
		if got, err := ring.Check(text, "code", factorFields...); got || err != errOpen {
			t.Errorf("%q: Check = %v, %v; want false, %v", text, got, err, errOpen)
		}
	}
}

func TestAStoredDigestIsNotAToken(t *testing.T) {
	ring := NewRing(start)
	mac, err := ring.mac(ring.Newest(), "browser", factorFields)
	if err != nil || len(mac) != 32 {
		t.Fatalf("MAC: %d bytes, %v; want 32", len(mac), err)
	}
	if strings.HasSuffix(ring.Digest("browser", factorFields...), encode(mac)) {
		t.Error("a digest of the same fields is the MAC")
	}
	again, err := ring.mac(ring.Newest(), "browser", factorFields)
	if err != nil || !bytes.Equal(again, mac) {
		t.Errorf("made again: %x, %v; want the same", again, err)
	}
	for name, fields := range foreign {
		if other, err := ring.mac(ring.Newest(), "browser", fields); err != nil || bytes.Equal(other, mac) {
			t.Errorf("%s: the same MAC, or %v", name, err)
		}
	}
	if other, err := ring.mac(ring.Newest(), "browses", factorFields); err != nil || bytes.Equal(other, mac) {
		t.Errorf("another purpose: the same MAC, or %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	ring := NewRing(start)
	sealed := ring.Seal("totp", factorFields, factorSecret)
	f.Add(sealed)
	f.Add(sealed[:sealedOverhead])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		if bytes.Equal(data, sealed) {
			return
		}
		// In a fuzzing worker the ring is another one. So this is a key id that this ring has.
		named := bytes.Clone(data)
		if len(named) >= sealedHeader {
			named[0] = sealedVersion
			copy(named[1:], ring.newest().rawID[:])
		}
		for _, data := range [][]byte{data, named} {
			if got, err := ring.Open("totp", factorFields, data); got != nil || (err != errOpen && err != ErrUnknownKey) {
				t.Errorf("Open = %d bytes, %v", len(got), err)
			}
			if got, err := ring.OpenWith(data, "totp", factorFields, data); got != nil || (err != errOpen && err != ErrUnknownKey) {
				t.Errorf("OpenWith = %d bytes, %v", len(got), err)
			}
		}
	})
}

func TestManyMayUseOneRingAtOnce(t *testing.T) {
	ring := NewRing(start)
	purposes := []string{"totp", "phone", "code", "recovery"}
	done := make(chan error)
	for worker := range 16 {
		go func() { done <- useRing(ring, purposes[worker%len(purposes)]) }()
	}
	for range 16 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func useRing(ring *Ring, purpose string) error {
	for range 50 {
		if _, err := ring.Open(purpose, factorFields, ring.Seal(purpose, factorFields, factorSecret)); err != nil {
			return err
		}
		if ok, err := ring.Check(ring.Digest(purpose, "a"), purpose, "a"); err != nil || !ok {
			return errors.Join(err, errors.New("the digest doesn't match"))
		}
	}
	return nil
}

func BenchmarkDigest(b *testing.B) {
	ring := NewRing(start)
	for b.Loop() {
		ring.Digest("code", "acme", "u-17", "ch_0123456789", "123456")
	}
}

func BenchmarkCheck(b *testing.B) {
	ring := NewRing(start)
	digest := ring.Digest("code", "acme", "u-17", "ch_0123456789", "123456")
	for b.Loop() {
		ring.Check(digest, "code", "acme", "u-17", "ch_0123456789", "123456")
	}
}

func BenchmarkSeal(b *testing.B) {
	ring := NewRing(start)
	for b.Loop() {
		ring.Seal("totp", factorFields, factorSecret)
	}
}

func BenchmarkOpen(b *testing.B) {
	ring := NewRing(start)
	sealed := ring.Seal("totp", factorFields, factorSecret)
	for b.Loop() {
		if _, err := ring.Open("totp", factorFields, sealed); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSealWith(b *testing.B) {
	ring := NewRing(start)
	extra := []byte("idempotency-key")
	for b.Loop() {
		ring.SealWith(extra, "answer", factorFields, factorSecret)
	}
}
