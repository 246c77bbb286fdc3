package seal

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
)

func TestABearerThatWasAlteredAnywhereIsNotRecognised(t *testing.T) {
	f := NewFilter()
	route := []byte("sixteen byte rte")
	bearer := f.NewBearer(APIKey, route).Reveal()
	if _, ok := f.Recognise(APIKey, bearer, len(route)); !ok {
		t.Fatal("the bearer itself isn't recognised")
	}
	raw, _ := decode(strings.TrimPrefix(bearer, APIKey))
	for bit := range 8 * len(raw) {
		altered := append([]byte(nil), raw...)
		altered[bit/8] ^= 1 << (bit % 8)
		if _, ok := f.Recognise(APIKey, APIKey+encode(altered), len(route)); ok {
			t.Errorf("with bit %d changed it is recognised", bit)
		}
	}
}

func TestABearerIsMadeAgainFromWhatItCarriesAndItsRandomBytes(t *testing.T) {
	f, route := NewFilter(), []byte("sixteen byte rte")
	bearer := f.NewBearer(ChallengeToken, route)
	random := Random(ChallengeToken, bearer.Reveal(), len(route))
	if len(random) != 32 || !f.Again(ChallengeToken, route, random).Equal(bearer) {
		t.Error("it is another one")
	}
	if Random(EnrolmentToken, bearer.Reveal(), len(route)) != nil || Random(ChallengeToken, bearer.Reveal(), 0) != nil {
		t.Error("text that isn't such a bearer has random bytes")
	}
}

func TestABearerIsRecognisedByItsOwnFilterAndPrefixAndLengthOnly(t *testing.T) {
	f := NewFilter()
	route := []byte("sixteen byte rte")
	bearer := f.NewBearer(ChallengeToken, route).Reveal()
	if _, ok := NewFilter().Recognise(ChallengeToken, bearer, len(route)); ok {
		t.Error("another filter recognises it")
	}
	if _, ok := f.Recognise(EnrolmentToken, EnrolmentToken+bearer[4:], len(route)); ok {
		t.Error("it is recognised with another prefix")
	}
	for carried := range 40 {
		if got, ok := f.Recognise(ChallengeToken, bearer, carried); ok != (carried == len(route)) {
			t.Errorf("carrying %d bytes: got %x, %v", carried, got, ok)
		}
	}
	made := strings.Repeat("\x00", 16+bearerRandom)
	if _, ok := f.Recognise(ChallengeToken, ChallengeToken+encode([]byte(made+strings.Repeat("\x00", bearerMAC))), 16); ok {
		t.Error("a made-up bearer of the same form is recognised")
	}
}

// This is the documented MAC. A program that follows the documentation must recognise the same tokens.
func TestABearerEndsIn16BytesOfTheHMACOverAllBeforeThem(t *testing.T) {
	f := NewFilter()
	key, ok := decode(f.Marshal().Reveal())
	if !ok || len(key) != 32 {
		t.Fatalf("got a key of %d bytes, want 32", len(key))
	}
	bearer := f.NewBearer(APIKey, []byte("route")).Reveal()
	raw, _ := decode(strings.TrimPrefix(bearer, APIKey))
	h := hmac.New(sha256.New, key)
	h.Write([]byte(APIKey))
	h.Write(raw[:5+32])
	if got, want := raw[5+32:], h.Sum(nil)[:16]; !hmac.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestAFilterIsReadBackFromItsKeyAndNothingElse(t *testing.T) {
	f := NewFilter()
	read, err := UnmarshalFilter(f.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := read.Recognise(PortalToken, f.NewBearer(PortalToken, nil).Reveal(), 0); !ok {
		t.Error("the filter that was read back doesn't recognise what the first one made")
	}
	key := f.Marshal().Reveal()
	for _, bad := range []string{"", key[:42], key + "A", key + "=", strings.Repeat("!", 43), encode(make([]byte, 31)), encode(make([]byte, 33))} {
		if _, err := UnmarshalFilter(NewSecret(bad)); err == nil || bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("%q: got %v, want an error that doesn't quote it", bad, err)
		}
	}
	if said := fmt.Sprintf("%v %+v %#v", f, f, *f); strings.Contains(said, f.key.Reveal()) || strings.Contains(said, key) {
		t.Error("a printed filter shows its key")
	}
}
