package seal

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
)

func TestABearerGivesBackWhatItCarries(t *testing.T) {
	route := []byte("sixteen byte rte")
	f := NewFilter()
	for _, c := range []struct {
		prefix string
		route  []byte
		length int
	}{
		{APIKey, nil, 4 + 64},
		{ChallengeToken, route, 4 + 86},
		{EnrolmentToken, route, 4 + 86},
		{PortalToken, route, 4 + 86},
	} {
		bearer := f.NewBearer(c.prefix, c.route).Reveal()
		if len(bearer) != c.length {
			t.Errorf("%s: length %d, want %d", c.prefix, len(bearer), c.length)
		}
		got, ok := ParseBearer(c.prefix, bearer, len(c.route))
		if !ok || !bytes.Equal(got, c.route) {
			t.Errorf("%s: route %x, %v; want %x", c.prefix, got, ok, c.route)
		}
		if made, ok := f.Recognise(c.prefix, bearer, len(c.route)); !ok || !bytes.Equal(made, c.route) {
			t.Errorf("%s: recognised %x, %v; want %x", c.prefix, made, ok, c.route)
		}
		if again := f.NewBearer(c.prefix, c.route).Reveal(); again == bearer {
			t.Errorf("%s: the same bearer twice", c.prefix)
		}
	}
}

func TestAnIDGivesItsRouteBack(t *testing.T) {
	route := []byte("sixteen byte rte")
	id := ID("ch_", route)
	if len(id) != 3+43 {
		t.Errorf("length %d, want 46", len(id))
	}
	got, ok := ParseID("ch_", id, len(route))
	if !ok || !bytes.Equal(got, route) {
		t.Errorf("route %x, %v; want %x", got, ok, route)
	}
	if ID("ch_", route) == id {
		t.Error("the same id twice")
	}
}

func TestEveryByteAfterTheRouteIsRandom(t *testing.T) {
	for name, c := range map[string]struct {
		make func() string
		size int
	}{
		"bearer": {func() string { return NewFilter().NewBearer("", make([]byte, 16)).Reveal() }, 32 + 16},
		"id":     {func() string { return ID("", make([]byte, 16)) }, 16},
	} {
		first, _ := decode(c.make())
		varied := make([]bool, len(first))
		for range 64 {
			next, _ := decode(c.make())
			for i := range next {
				varied[i] = varied[i] || next[i] != first[i]
			}
		}
		for i, got := range varied {
			if want := i >= 16; got != want {
				t.Errorf("%s: byte %d of %d varies: %v, want %v", name, i, 16+c.size, got, want)
			}
		}
	}
}

// spellings returns texts that lenient parsers read as the same id or bearer.
func spellings(prefix, text string) map[string]string {
	body := strings.TrimPrefix(text, prefix)
	middle := len(body) / 2
	other := map[string]string{
		"empty":                  "",
		"prefix only":            prefix,
		"no prefix":              body,
		"prefix in capitals":     strings.ToUpper(prefix) + body,
		"another prefix":         "xx" + prefix[2:] + body,
		"prefix twice":           prefix + text,
		"padded":                 text + "=",
		"padded twice":           text + "==",
		"line end after":         text + "\n",
		"line end before":        "\n" + text,
		"line end inside":        prefix + body[:middle] + "\n" + body[middle:],
		"return inside":          prefix + body[:middle] + "\r" + body[middle:],
		"line end for character": prefix + body[:middle] + "\n" + body[middle+1:],
		"space after":            text + " ",
		"space before":           " " + text,
		"shorter by 1":           text[:len(text)-1],
		"shorter by 4":           text[:len(text)-4],
		"longer by 1":            text + "A",
		"longer by 4":            text + "AAAA",
		"standard alphabet":      prefix + "+/" + body[2:],
		"zero byte":              text + "\x00",
		"very long":              text + strings.Repeat("A", 1<<20),
	}
	// The last character of 32 bytes carries 4 bits. Three other characters carry the same 4 bits.
	if len(body)%4 == 3 {
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		last := strings.IndexByte(alphabet, body[len(body)-1])
		for i := 1; i < 4; i++ {
			alternate := prefix + body[:len(body)-1] + string(alphabet[last^i])
			other["last character "+alternate[len(alternate)-1:]] = alternate
		}
	}
	return other
}

func TestOnlyOneSpellingOfAnIDOrBearerParses(t *testing.T) {
	route := []byte("sixteen byte rte")
	f := NewFilter()
	for _, c := range []struct {
		prefix string
		route  []byte
	}{{ChallengeToken, route}, {APIKey, nil}} {
		prefix := c.prefix
		for name, text := range spellings(prefix, f.NewBearer(prefix, c.route).Reveal()) {
			if _, ok := ParseBearer(prefix, text, len(c.route)); ok {
				t.Errorf("bearer %s: %s is taken", prefix, name)
			}
			if _, ok := f.Recognise(prefix, text, len(c.route)); ok {
				t.Errorf("bearer %s: %s is recognised", prefix, name)
			}
		}
	}
	id := ID("ch_", route)
	for name, text := range spellings("ch_", id) {
		if _, ok := ParseID("ch_", text, len(route)); ok {
			t.Errorf("id: %s is taken", name)
		}
	}
	for size := range 80 {
		text := encode(make([]byte, size))
		if _, ok := ParseBearer(APIKey, APIKey+text, 16); ok != (size == 64) {
			t.Errorf("bearer of %d bytes: ok is %v", size, ok)
		}
		if _, ok := ParseID("ch_", "ch_"+text, 16); ok != (size == 32) {
			t.Errorf("id of %d bytes: ok is %v", size, ok)
		}
	}
	// The lenient decoder reads these texts as the same bytes, so the alternates above are realistic.
	taken := 0
	want, _ := base64.RawURLEncoding.DecodeString(id[3:])
	for name, text := range spellings("ch_", id) {
		if !strings.HasPrefix(name, "last character") {
			continue
		}
		if got, err := base64.RawURLEncoding.DecodeString(text[3:]); err == nil && bytes.Equal(got, want) {
			taken++
		}
	}
	if taken != 3 {
		t.Errorf("%d alternates decode to the same bytes, want 3", taken)
	}
}

func TestAnIDOfOneKindIsNotOfAnother(t *testing.T) {
	route := []byte("sixteen byte rte")
	if _, ok := ParseID("en_", ID("ch_", route), len(route)); ok {
		t.Error("a challenge's id was taken as an enrolment's")
	}
	if _, ok := ParseBearer(PortalToken, NewFilter().NewBearer(ChallengeToken, route).Reveal(), len(route)); ok {
		t.Error("a challenge token was taken as a portal token")
	}
	if _, ok := ParseID("cst", "cst"+NewFilter().NewBearer("", route).Reveal(), len(route)); ok {
		t.Error("a bearer was taken as an id")
	}
}

func TestAParsedRouteCannotReachTheRandomPart(t *testing.T) {
	route, ok := ParseBearer(ChallengeToken, NewFilter().NewBearer(ChallengeToken, make([]byte, 16)).Reveal(), 16)
	if !ok || cap(route) >= 16+bearerRandom+bearerMAC {
		t.Errorf("the route has capacity %d", cap(route))
	}
}

func TestACodeWithoutDigitsIsAProgrammersError(t *testing.T) {
	if !panics(func() { Code(0) }) {
		t.Error("no panic")
	}
}

func panics(call func()) (panicked bool) {
	defer func() { panicked = recover() != nil }()
	call()
	return false
}

func TestABearerIsHashedAsItIsSpelled(t *testing.T) {
	sum := sha256.Sum256([]byte("csk_abc"))
	if got, want := HashBearer("csk_abc"), base64.RawURLEncoding.EncodeToString(sum[:]); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestFieldsNeverRunIntoEachOther(t *testing.T) {
	lists := [][]string{
		nil, {""}, {"", ""}, {"a#b", "c"}, {"a", "b#c"}, {"a#b#c"}, {"ab", "c"}, {"a", "bc"}, {"a", "b", "c"}, {"a", "b", "c", ""},
		{"", "a", "b", "c"}, {string(Join("a", "b"))}, {string(Join("a")), "b"}, {"a", string(Join("b"))}, {"\x00\x00\x00\x00\x00\x00\x00\x00"},
	}
	seen := map[string]int{}
	for i, list := range lists {
		joined := string(Join(list...))
		if j, ok := seen[joined]; ok {
			t.Errorf("%q and %q join to the same bytes", lists[j], list)
		}
		seen[joined] = i
	}
}

func TestEveryDigitOfACodeIsAsLikelyAsAnyOther(t *testing.T) {
	const codes = 60_000
	var counts [7][10]int // One row for each place, and the last row for all places.
	for range codes {
		code := Code(6).Reveal()
		if len(code) != 6 {
			t.Fatalf("a code of %d digits, want 6", len(code))
		}
		for place, digit := range []byte(code) {
			if digit < '0' || digit > '9' {
				t.Fatalf("%q is not a digit", digit)
			}
			counts[place][digit-'0']++
			counts[6][digit-'0']++
		}
	}
	// Chi-squared with 9 degrees of freedom is above 60 once in 10^9. Bytes modulo 10 would give about 140 over all places.
	for place, count := range counts {
		total, sum := 0, 0.0
		for _, n := range count {
			total += n
		}
		for _, n := range count {
			off := float64(n) - float64(total)/10
			sum += off * off / (float64(total) / 10)
		}
		if sum > 60 {
			t.Errorf("place %d: chi-squared %.1f, want at most 60: %v", place, sum, count)
		}
	}
	if got := len(Code(40).Reveal()); got != 40 {
		t.Errorf("a code of %d digits, want 40", got)
	}
}

func FuzzParseBearer(f *testing.F) {
	f.Add(NewFilter().NewBearer(ChallengeToken, make([]byte, 16)).Reveal(), 16)
	f.Add(NewFilter().NewBearer(ChallengeToken, nil).Reveal(), 0)
	f.Add("cst_", 0)
	f.Fuzz(func(t *testing.T, bearer string, routeLen int) {
		routeLen &= 0xff
		if route, ok := ParseBearer(ChallengeToken, bearer, routeLen); ok {
			if len(route) != routeLen {
				t.Errorf("a route of %d bytes, want %d", len(route), routeLen)
			}
			refuseOtherSpelling(t, ChallengeToken, bearer, routeLen+32+16)
		}
	})
}

func FuzzParseID(f *testing.F) {
	f.Add(ID("ch_", make([]byte, 32)))
	f.Add("ch_" + strings.Repeat("A", 64))
	f.Fuzz(func(t *testing.T, id string) {
		if route, ok := ParseID("ch_", id, 32); ok {
			refuseOtherSpelling(t, "ch_", id, len(route)+16)
		}
	})
}

// refuseOtherSpelling fails the test unless text is exactly what encoding its bytes gives.
func refuseOtherSpelling(t *testing.T, prefix, text string, size int) {
	t.Helper()
	raw, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimPrefix(text, prefix))
	if err != nil || len(raw) != size {
		t.Fatalf("%q parses to %d bytes (%v), want %d", text, len(raw), err, size)
	}
	if want := prefix + base64.RawURLEncoding.EncodeToString(raw); text != want {
		t.Errorf("%q is taken for %q", text, want)
	}
}

func TestARouteDependsOnEveryFieldAndOnNothingElse(t *testing.T) {
	route := Route("acme", "u-1")
	if len(route) != RouteLen || route != Route("acme", "u-1") {
		t.Errorf("got %d bytes, want the same %d for the same fields", len(route), RouteLen)
	}
	for _, other := range [][]string{{"acme"}, {"u-1", "acme"}, {"acmeu-1"}, {"acme", "u-2"}, {"acme", "u-1", ""}} {
		if Route(other...) == route {
			t.Errorf("%q has the same route", other)
		}
	}
}
