package seal

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// Prefixes of the bearers.
const (
	APIKey         = "csk_"
	ChallengeToken = "cst_"
	EnrolmentToken = "cse_"
	PortalToken    = "csp_"
)

const (
	bearerRandom = 32
	// IDRandom is how many random bytes an id holds.
	IDRandom = 16
)

// ParseBearer gives the carriedLen bytes that a bearer carries. It takes only what a Filter can have made: no other length,
// letter case, padding or spelling of the last character. It says nothing of who made the bearer: that is for
// Filter.Recognise.
func ParseBearer(prefix, bearer string, carriedLen int) (carried []byte, ok bool) {
	return parse(prefix, bearer, carriedLen, bearerRandom+bearerMAC)
}

// HashBearer is what is stored of a bearer: the base64url of its SHA-256. A bearer has 256 random bits, so the hash needs no salt.
func HashBearer(bearer string) string {
	sum := sha256.Sum256([]byte(bearer))
	return encode(sum[:])
}

// RouteLen is the length of a route, in bytes.
const RouteLen = 16

// Route is where what belongs to these fields is: the first 16 bytes of the SHA-256 of the fields, each preceded by its
// length. It is not secret, and what it leads to can't be read from it, except by guessing.
func Route(fields ...string) string {
	sum := sha256.Sum256(Join(fields...))
	return string(sum[:RouteLen])
}

// ID makes an id: prefix, then the base64url of route (where it belongs; may be nil) and 16 random bytes.
func ID(prefix string, route []byte) string {
	return prefix + encode(withRandom(route, IDRandom))
}

// ParseID gives the route, of routeLen bytes, in an id. It takes only what ID can have made, as ParseBearer does.
func ParseID(prefix, id string, routeLen int) (route []byte, ok bool) {
	return parse(prefix, id, routeLen, IDRandom)
}

// Code makes a code of so many decimal digits, each value as likely as any other. It panics if digits isn't positive.
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
			// 250 to 255 would make 0 to 5 more likely than the rest.
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
