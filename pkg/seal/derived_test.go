package seal

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// carriedBy returns bytes that a token of this kind can carry.
func carriedBy(d Derivation) []byte { return bytes.Repeat([]byte{7}, d.carried) }

func TestABearerThatIsMadeFromFactsIsGoodForExactlyThese(t *testing.T) {
	ring, other := NewRing(start), NewRing(start)
	for name, kind := range map[string]Derivation{"trust": TrustToken, "known": KnownToken} {
		made, err := kind.Make(ring, ring.Newest(), carriedBy(kind), factorFields...)
		if err != nil {
			t.Fatal(err)
		}
		again, err := kind.Make(ring, ring.Newest(), carriedBy(kind), factorFields...)
		if err != nil || !again.Equal(made) {
			t.Errorf("%s: made again, it is another one, or %v", name, err)
		}
		b, ok := kind.Parse(made)
		if !ok || !bytes.Equal(b.Carried, carriedBy(kind)) {
			t.Fatalf("%s: got %v, %v, want what it carries", name, b.Carried, ok)
		}
		if good, err := b.Check(ring, factorFields...); !good || err != nil {
			t.Errorf("%s: got %v, %v, want it to be good", name, good, err)
		}
		for what, facts := range foreign {
			if good, err := b.Check(ring, facts...); good || err != nil {
				t.Errorf("%s of other facts (%s): got %v, %v", name, what, good, err)
			}
		}
		if good, err := b.Check(other, factorFields...); good || !errors.Is(err, ErrUnknownKey) {
			t.Errorf("%s under another ring: got %v, %v, want ErrUnknownKey", name, good, err)
		}
		if _, err := kind.Make(ring, other.Newest(), carriedBy(kind), factorFields...); !errors.Is(err, ErrUnknownKey) {
			t.Errorf("%s under a key that the ring doesn't have: got %v, want ErrUnknownKey", name, err)
		}
		if _, err := kind.Make(ring, ring.Newest(), append(carriedBy(kind), 0), factorFields...); err == nil {
			t.Errorf("%s that carries a byte more was made", name)
		}
	}
}

func TestABearerThatIsMadeFromFactsIsNoneOfAnotherKind(t *testing.T) {
	ring := NewRing(start)
	as := KnownToken
	as.purpose = TrustToken.purpose
	made, err := as.Make(ring, ring.Newest(), nil, factorFields...)
	if err != nil {
		t.Fatal(err)
	}
	b, ok := KnownToken.Parse(made)
	if !ok {
		t.Fatal("it has the form of a known token")
	}
	if good, err := b.Check(ring, factorFields...); good || err != nil {
		t.Errorf("made for another purpose: got %v, %v", good, err)
	}
	if _, ok := TrustToken.Parse(made); ok {
		t.Error("a known token is read as a trusted browser's")
	}
}

// A token is refused if any letter of its text is changed. There is only one spelling of it.
func TestAnAlteredBearerThatIsMadeFromFactsIsRefused(t *testing.T) {
	ring := NewRing(start)
	for name, kind := range map[string]Derivation{"trust": TrustToken, "known": KnownToken} {
		made, err := kind.Make(ring, ring.Newest(), carriedBy(kind), factorFields...)
		if err != nil {
			t.Fatal(err)
		}
		text := made.Reveal()
		if raw, ok := decode(text[len(kind.prefix):]); !ok || len(raw)%3 != 0 {
			t.Errorf("%s: %d bytes, which leave bits of the last letter out", name, len(raw))
		}
		altered := []string{
			"", kind.prefix, strings.ToUpper(kind.prefix) + text[len(kind.prefix):], text[len(kind.prefix):], text[:len(text)-1], text + "A", text + "=", text + "\n",
			text[:10] + "\n" + text[10:], text[:len(text)-4] + "\n\n\n\n", text[:len(text)-2] + "==", " " + text, kind.prefix + text,
		}
		for i := len(kind.prefix) + (kind.carried*8+5)/6; i < len(text); i++ { // the facts bind what it carries, so this begins behind that
			for _, letter := range []string{"A", "_", "*"} {
				if text[i:i+1] != letter {
					altered = append(altered, text[:i]+letter+text[i+1:])
				}
			}
		}
		for _, other := range altered {
			b, ok := kind.Parse(NewSecret(other))
			if !ok {
				continue
			}
			if good, err := b.Check(ring, factorFields...); good || err != nil && !errors.Is(err, ErrUnknownKey) {
				t.Errorf("%s %q: got %v, %v", name, other, good, err)
			}
		}
	}
}

// This is the documented text of a token. A later build must accept the same text.
func TestTheTextOfABearerThatIsMadeFromFactsHoldsWhatItCarriesTheKeyAndTheMAC(t *testing.T) {
	ring := NewRing(start)
	mac, err := ring.mac(ring.Newest(), "trust", factorFields)
	if err != nil {
		t.Fatal(err)
	}
	made, err := TrustToken.Make(ring, ring.Newest(), carriedBy(TrustToken), factorFields...)
	if err != nil {
		t.Fatal(err)
	}
	id, _ := decode(ring.Newest())
	if got, want := made.Reveal(), "cbt_"+encode(fmt.Append(carriedBy(TrustToken), string(id), string(mac))); got != want || len(got) != len("cbt_")+80 {
		t.Errorf("got %s, want %s", got, want)
	}
}
