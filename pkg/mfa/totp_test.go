package mfa

import (
	"bytes"
	"encoding/base32"
	"fmt"
	"math/bits"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"countersign/pkg/seal"
)

// rfcSecret is the shared secret of the test values in RFC 4226 and RFC 6238.
var rfcSecret = []byte("12345678901234567890")

// stepAt returns the step of a code, or 0 if it is found in none. It fails the test if the search returns an error.
func stepAt(t *testing.T, code string, now time.Time, skew int, last int64) int64 {
	t.Helper()
	step, err := totpStepOf(rfcSecret, seal.NewSecret(code), now, skew, last)
	if err != nil {
		t.Fatal(err)
	}
	return step
}

// These are the values of RFC 4226 appendix D. Step 0 also means that a code was not found, so this test can't tell whether
// the code of counter 0 is found.
func TestTheValuesOfRFC4226AreFoundInTheirSteps(t *testing.T) {
	values := []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"}
	for counter, code := range values {
		now := time.Unix(int64(counter)*totpStep, 0)
		for at := range values {
			want := int64(0)
			if at == counter {
				want = int64(counter)
			}
			if got := stepAt(t, code, time.Unix(int64(at)*totpStep, 0), 0, 0); got != want {
				t.Errorf("counter %d at step %d: got step %d, want %d", counter, at, got, want)
			}
		}
		if counter > 0 && stepAt(t, mangled(code), now, 0, 0) != 0 {
			t.Errorf("counter %d: another code is found", counter)
		}
	}
}

// mangled returns the code with its last digit changed.
func mangled(code string) string {
	return code[:5] + string('0'+(code[5]-'0'+1)%10)
}

// These are the SHA-1 values of RFC 6238 appendix B: the last six of their eight digits, at the times to the second.
func TestTheValuesOfRFC6238AreFoundAtTheirTimes(t *testing.T) {
	for at, code := range map[int64]string{
		59: "94287082", 1111111109: "07081804", 1111111111: "14050471", 1234567890: "89005924", 2000000000: "69279037", 20000000000: "65353130",
	} {
		now, code := time.Unix(at, 0), code[2:]
		for skew := range 2 {
			if got := stepAt(t, code, now, skew, 0); got != at/30 {
				t.Errorf("at %d with skew %d: got step %d, want %d", at, skew, got, at/30)
			}
			if got := stepAt(t, mangled(code), now, skew, 0); got != 0 {
				t.Errorf("at %d with skew %d: another code is found in step %d", at, skew, got)
			}
		}
	}
}

func TestACodeIsGoodInItsOwnStepAndSkewStepsAround(t *testing.T) {
	const step = 37037036 // the step of 1111111109 s, which begins at 1111111080 s
	const code = "081804"
	begins := time.Unix(step*totpStep, 0)
	for _, c := range []struct {
		skew   int
		offset time.Duration
		good   bool
	}{
		{0, -time.Nanosecond, false}, {0, 0, true}, {0, 30*time.Second - 1, true}, {0, 30 * time.Second, false},
		{1, -30*time.Second - 1, false}, {1, -30 * time.Second, true}, {1, 60*time.Second - 1, true}, {1, 60 * time.Second, false},
		{1, -60 * time.Second, false}, {1, 90 * time.Second, false},
	} {
		if got := stepAt(t, code, begins.Add(c.offset), c.skew, 0) == step; got != c.good {
			t.Errorf("skew %d, %v from its beginning: got %v, want %v", c.skew, c.offset, got, c.good)
		}
	}
}

func TestNoCodeOfAStepThatWasAcceptedOrBeforeItIsFound(t *testing.T) {
	const step, before, code = 37037036, 37037035, "081804"
	now := time.Unix(step*totpStep, 0)
	for last, want := range map[int64]int64{before: step, step: 0, step + 1: 0, step + 1000: 0} {
		for skew := range 2 {
			if got := stepAt(t, code, now, skew, last); got != want {
				t.Errorf("after step %d, skew %d: got %d, want %d", last, skew, got, want)
			}
		}
	}
}

// About once in a million steps, two neighbouring steps have the same code. Then the later step is spent, so that the code
// is accepted only once.
func TestOfTwoStepsWithOneCodeTheLaterIsFound(t *testing.T) {
	const first, code = 910737, "911617"
	for at := int64(first); at <= first+1; at++ {
		now := time.Unix(at*totpStep, 0)
		if got := stepAt(t, code, now, 1, 0); got != first+1 {
			t.Errorf("at step %d: got step %d, want %d", at, got, first+1)
		}
		if got := stepAt(t, code, now, 1, first+1); got != 0 {
			t.Errorf("at step %d, again: got step %d, want none", at, got)
		}
		if got := stepAt(t, code, now, 0, 0); got != at {
			t.Errorf("at step %d without skew: got step %d", at, got)
		}
	}
}

func TestE5AURIReadsBackEqualWhateverTheNamesAre(t *testing.T) {
	long := strings.Repeat("é", 64) // 128 bytes, which take three characters each in a URI
	for _, c := range []struct{ issuer, account, wantIssuer, wantAccount string }{
		{"Acme", "ana@acme.example", "Acme", "ana@acme.example"},
		{"Acme: Sales", "a:b", "Acme Sales", "a:b"},
		{"A&B=C?secret=AAAA#x", "u&secret=AAAA&issuer=Evil", "A&B=C?secret=AAAA#x", "u&secret=AAAA&issuer=Evil"},
		{"100%", "50%25%00%0d%0a", "100%", "50%25%00%0d%0a"},
		{"A+B C", "u+1 v", "A+B C", "u+1 v"},
		{"Ac/me//..", "../a/b?c#d;e", "Ac/me//..", "../a/b?c#d;e"},
		{"Acme\r\nX: y", "ana\r\nbob", "Acme X y", "ana bob"},
		{"Acme 🔐", "ana 👩‍💻@acme", "Acme 🔐", "ana 👩💻@acme"},
		{"\u202eemcA", "אנה\u202e\u2066ana", "emcA", "אנהana"},
		{"日本株式会社", "ана", "日本株式会社", "ана"},
		{long, long, long, long},
		{`"<svg>'\`, `"<script>'\`, `"<svg>'\`, `"<script>'\`},
	} {
		secret := unpadded.EncodeToString(newTOTPSecret())
		uri := otpauth(c.issuer, (&guard{User: c.account}).account(), secret)
		key, err := otp.NewKeyFromURL(uri)
		if err != nil {
			t.Errorf("%q, %q: %v", c.issuer, c.account, err)
			continue
		}
		if key.Issuer() != c.wantIssuer || key.AccountName() != c.wantAccount {
			t.Errorf("got issuer %q and account %q, want %q and %q", key.Issuer(), key.AccountName(), c.wantIssuer, c.wantAccount)
		}
		// Older apps read the issuer in the label.
		if label, want := strings.TrimPrefix(uri, "otpauth://totp/"), escaped(c.wantIssuer)+":"; !strings.HasPrefix(label, want) {
			t.Errorf("got label %.60q, want it to begin with %q", label, want)
		}
		if key.Type() != "totp" || key.Secret() != secret || key.Algorithm() != otp.AlgorithmSHA1 || key.Digits() != otp.DigitsSix || key.Period() != 30 {
			t.Errorf("%q: got %s, %v, %v, %d", c.issuer, key.Type(), key.Algorithm(), key.Digits(), key.Period())
		}
		for _, said := range []string{"algorithm=SHA1", "digits=6", "period=30"} {
			if !strings.Contains(uri, said) {
				t.Errorf("%q: the URI doesn't say %s", c.issuer, said)
			}
		}
		if _, query, _ := strings.Cut(uri, "?"); strings.Contains(query, "+") {
			t.Errorf("%q: apps show the + of %s", c.issuer, query)
		}
		if strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Errorf("%q: the URI isn't plain ASCII", c.issuer)
		}
	}
}

var unpadded = base32.StdEncoding.WithPadding(base32.NoPadding)

// escaped returns a text as it is written in the path of a URI.
func escaped(text string) string {
	path := (&url.URL{Path: "/" + text}).EscapedPath()
	return path[1:]
}

func TestANameThatIsNothingButMarksIsStillOne(t *testing.T) {
	for _, issuer := range []string{"", ":", "\u202e", " : "} {
		uri := otpauth((&Service{Sender: issuer}).sender(""), (&guard{User: "\u200b"}).account(), "AAAA")
		key, err := otp.NewKeyFromURL(uri)
		if err != nil || key.Issuer() != "Countersign" || key.AccountName() != "user" {
			t.Errorf("%q: got %q and %q, %v", issuer, key.Issuer(), key.AccountName(), err)
		}
	}
}

func TestWhatIsShownOfASecretIsThatSecret(t *testing.T) {
	raw, shown, err := newTOTP("Acme", "ana", "fr")
	if err != nil {
		t.Fatal(err)
	}
	key, err := otp.NewKeyFromURL(shown.URI.Reveal())
	if err != nil || key.Secret() != shown.Secret.Reveal() {
		t.Errorf("the URI has another secret, %v", err)
	}
	if typed, err := unpadded.DecodeString(shown.Secret.Reveal()); err != nil || !bytes.Equal(typed, raw) {
		t.Errorf("what is typed is another secret, %v", err)
	}
	if want, err := qrSVG(shown.URI.Reveal(), "fr"); err != nil || shown.QRSVG.Reveal() != want {
		t.Errorf("the picture is of another text, %v", err)
	}
}

func TestTheAccountIsTheAddressOrElseTheID(t *testing.T) {
	g := &guard{User: "u-17", Profile: profile{Email: "ana@acme.example"}}
	if got := g.account(); got != "ana@acme.example" {
		t.Errorf("got %q", got)
	}
	g.Profile.Email = ""
	if got := g.account(); got != "u-17" {
		t.Errorf("got %q", got)
	}
}

// RFC 4226 section 4, R6, recommends 160 bits. A hundred thousand secrets have 16 million bits. About once in two million
// runs, the number of ones among them is more than five standard deviations (2000 each) from half.
func TestE4SecretsHave160BitsAndNoneComesTwice(t *testing.T) {
	const n = 100_000
	seen := make(map[string]bool, n)
	ones := 0
	var place [totpSecret]int
	for range n {
		raw := newTOTPSecret()
		if len(raw)*8 < 160 {
			t.Fatalf("got %d bits", len(raw)*8)
		}
		seen[string(raw)] = true
		for i, b := range raw {
			ones += bits.OnesCount8(b)
			place[i] += bits.OnesCount8(b)
		}
	}
	if len(seen) != n {
		t.Errorf("got %d different secrets of %d", len(seen), n)
	}
	if off := ones - n*totpSecret*8/2; max(off, -off) > 5*2000 {
		t.Errorf("got %d ones of %d bits", ones, n*totpSecret*8)
	}
	for i, ones := range place { // the standard deviation for each byte is 447
		if off := ones - n*8/2; max(off, -off) > 6*447 {
			t.Errorf("byte %d: got %d ones of %d bits", i, ones, n*8)
		}
	}
}

func TestOfTwoClocksThatShowOneCodeTheNearerIsTold(t *testing.T) {
	now := time.Unix(2000000000, 0)
	for try := range 100000 {
		raw := fmt.Appendf(nil, "%020d", try)
		seen := map[string]int{} // the nearest step that shows each code
		for distance := 2; distance <= 20; distance++ {
			for _, away := range []int{distance, -distance} {
				code, err := hotp.GenerateCode(base32.StdEncoding.EncodeToString(raw), uint64(now.Unix()/totpStep+int64(away)))
				if err != nil {
					t.Fatal(err)
				}
				nearer, twice := seen[code]
				if !twice {
					seen[code] = away
					continue
				}
				if nearer == -away {
					continue // both are equally near
				}
				got, err := clockOff(raw, seal.NewSecret(code), now)
				if want := time.Duration(nearer) * totpStep * time.Second; err != nil || got != want {
					t.Errorf("shown %d and %d steps off: got %v, %v, want %v", nearer, away, got, err, want)
				}
				return
			}
		}
	}
	t.Error("no secret shows one code twice")
}
