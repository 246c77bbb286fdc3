package seal

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// These are the prefixes of the bearer tokens. The prefix says what a token is for.
const (
	APIKey         = "csk_"
	ChallengeToken = "cst_"
	EnrolmentToken = "cse_"
	PortalToken    = "csp_"
	CancelToken    = "csx_" // cancels one request for a reset
	Handle         = "csh_" // is in a link, and stands for one of the others
)

const (
	bearerRandom = 32
	// IDRandom is the number of random bytes in an id.
	IDRandom = 16
)

// ParseBearer returns the carriedLen bytes that a bearer token carries. It accepts only text that a Filter can have made: the
// length, the case of the letters, the lack of padding and the last character must be as a Filter writes them. It doesn't
// find out who made the token; Filter.Recognise does that.
func ParseBearer(prefix, bearer string, carriedLen int) (carried []byte, ok bool) {
	return parse(prefix, bearer, carriedLen, bearerRandom+bearerMAC)
}

// HashBearer returns what is stored of a bearer token: the base64url of its SHA-256 hash. The hash needs no salt, because a
// token has 256 random bits.
func HashBearer(bearer string) string {
	sum := sha256.Sum256([]byte(bearer))
	return encode(sum[:])
}

// RouteLen is the length of a route in bytes.
const RouteLen = 16

// Route returns a short name for an org, a user or a client: the first 16 bytes of the SHA-256 hash of the fields, with the
// length of each field before it. Ids, tokens and keys of the store have it, so that what belongs together is found. It isn't
// secret. Its fields can't be computed from it, but they can be guessed and compared.
func Route(fields ...string) string {
	sum := sha256.Sum256(Join(fields...))
	return string(sum[:RouteLen])
}

// ID makes a new id: the prefix, then the base64url of the route and of 16 random bytes. The route says to what the id belongs,
// and may be nil.
func ID(prefix string, route []byte) string {
	return prefix + encode(withRandom(route, IDRandom))
}

// ParseID returns the route in an id, which has routeLen bytes. It accepts only text that ID can have made.
func ParseID(prefix, id string, routeLen int) (route []byte, ok bool) {
	return parse(prefix, id, routeLen, IDRandom)
}

// Code makes a random code with so many decimal digits. All codes are equally likely. It panics if digits isn't positive.
func Code(digits int) Secret {
	if digits <= 0 {
		panic("seal: a code has at least one digit")
	}
	code := make([]byte, 0, digits)
	var random [16]byte
	for {
		rand.Read(random[:])
		for _, b := range random {
			if len(code) == digits {
				return NewSecret(string(code))
			}
			// With the bytes 250 to 255, the digits 0 to 5 would be more likely than 6 to 9.
			if b < 250 {
				code = append(code, '0'+b%10)
			}
		}
	}
}

func withRandom(route []byte, size int) []byte {
	raw := make([]byte, len(route)+size)
	copy(raw, route)
	rand.Read(raw[len(route):])
	return raw
}

func parse(prefix, text string, routeLen, random int) (route []byte, ok bool) {
	body, ok := strings.CutPrefix(text, prefix)
	if !ok || len(body) != base64.RawURLEncoding.EncodedLen(routeLen+random) {
		return nil, false
	}
	raw, ok := decode(body)
	if !ok {
		return nil, false
	}
	return bytes.Clone(raw[:routeLen]), true
}
