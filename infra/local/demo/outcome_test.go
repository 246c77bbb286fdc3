package demo

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"countersign/pkg/seal"
)

// TestATokenThatIsNotOfThisSignInOrTransferIsRefusedAtTheReturn has a Countersign that answers with the token of something else.
func TestATokenThatIsNotOfThisSignInOrTransferIsRefusedAtTheReturn(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys, _ := published(t, key)
	var token string
	const issuer = "http://localhost:1"
	now := time.Unix(1_800_000_000, 0)
	countersign := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/jwks.json") {
			json.NewEncoder(w).Encode(keys)
			return
		}
		json.NewEncoder(w).Encode(map[string]any{"state": "verified", "outcome": map[string]any{
			"token": token, "trust_token": "cbt_x", "known_token": "ckt_x", "issued_at": now,
		}})
	})
	d := &Demo{
		o:        Options{Issuer: issuer, Client: "local", Key: seal.NewSecret("csk_x"), Now: func() time.Time { return now }},
		http:     &http.Client{Transport: inside{countersign}},
		sessions: map[string]session{},
	}
	signIn := &away{id: "ch_1", org: "kls", user: "ana", decision: "challenge", reason: "required", nonce: "n1", ends: now.Add(time.Hour)}
	sending := &away{}
	*sending = *signIn
	sending.transfer = &transfer{to: "Zoe", amount: "1 EUR"}
	in := &signedIn{org: "kls", user: "ana", ends: now.Add(time.Hour)}

	claims := map[string]any{
		"iss": issuer, "aud": "local", "org": "kls", "sub": "ana", "nonce": "n1", "purpose": "sign_in", "action": nil, "action_lines": []string{},
		"decision": "challenge", "verified": true, "jti": "ch_1", "iat": now.Unix(), "exp": now.Unix() + 120,
	}
	confirmed := maps.Clone(claims)
	confirmed["purpose"], confirmed["action"], confirmed["action_lines"] = "step_up", "transfer", []string{"To: Zoe", "Amount: 1 EUR"}
	back := func(began session, said map[string]any, change string, value any) (next session, cookies int) {
		said = maps.Clone(said)
		if change != "" {
			said[change] = value
		}
		token = sign(t, key, map[string]any{"alg": "ES256", "typ": "countersign+jwt", "kid": "k1"}, said)
		w := httptest.NewRecorder()
		next = d.comeBack(w, httptest.NewRequestWithContext(t.Context(), "GET", returnPath+"?challenge=ch_1", nil), began)
		return next, len(w.Result().Cookies())
	}

	if s, cookies := back(session{away: signIn}, claims, "", nil); s.in == nil || s.away != nil || cookies != 2 {
		t.Errorf("a good sign-in: got %+v and %d cookies", s, cookies)
	}
	if s, _ := back(session{in: in, away: sending}, confirmed, "", nil); s.said.Bad || s.away != nil || !strings.HasPrefix(s.said.Text, "You have sent 1 EUR") {
		t.Errorf("a good transfer: got %+v", s.said)
	}
	others := map[string]any{
		"org": "salto", "sub": "bob", "aud": "other", "iss": "http://localhost:2", "nonce": "n2", "jti": "ch_2", "decision": "allow", "verified": false, "exp": now.Unix() - 10,
	}
	for name, value := range others {
		if s, cookies := back(session{away: signIn}, claims, name, value); s.in != nil || s.away != nil || !s.said.Bad || cookies != 0 {
			t.Errorf("a sign-in with another %s: got %+v and %d cookies", name, s, cookies)
		}
		if s, cookies := back(session{in: in, away: sending}, confirmed, name, value); s.in != in || s.away != nil || !s.said.Bad || cookies != 0 {
			t.Errorf("a transfer with another %s: got %+v and %d cookies", name, s, cookies)
		}
	}
	for name, said := range map[string]map[string]any{
		"a sign-in's token":   claims,
		"another amount":      with(confirmed, "action_lines", []string{"To: Zoe", "Amount: 1000 EUR"}),
		"no lines":            with(confirmed, "action_lines", []string{}),
		"another action":      with(confirmed, "action", "account"),
		"a sign-in's purpose": with(confirmed, "purpose", "sign_in"),
	} {
		if s, _ := back(session{in: in, away: sending}, said, "", nil); !s.said.Bad || !strings.Contains(s.said.Text, "Nothing was sent.") {
			t.Errorf("a transfer with %s: got %+v", name, s.said)
		}
	}
	if s, _ := back(session{away: signIn}, confirmed, "", nil); s.in != nil {
		t.Error("the token of a transfer has signed somebody in")
	}
	if s, _ := back(session{in: &signedIn{org: "kls", user: "bob"}, away: sending}, confirmed, "", nil); !s.said.Bad {
		t.Error("a transfer was made for somebody else")
	}
}
