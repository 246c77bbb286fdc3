// Command example is the sign-in of README in Go, with all that it needs to run beside a local server.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"

	"clients/outbox"
)

type body map[string]any

// An answer is the part of an answer to a start or a verify that the sign-in needs.
type answer struct {
	Decision  string // allow, challenge or enrol
	Token     string
	Challenge struct {
		ID   string
		Sent struct{ Hint string }
	}
}

type claims struct {
	jwt.RegisteredClaims
	Org      string `json:"org"`
	Verified bool   `json:"verified"` // whether a second factor was given just now
}

// A countersign is a deployment of Countersign as a client sees it.
type countersign struct {
	url, key string
	jwks     jwt.Keyfunc
}

// signIn decides about a user whose password was right. ask shows the user a page that takes the code.
func (c countersign) signIn(ctx context.Context, user, email string, ask func(hint string) string) (said claims, err error) {
	var a answer
	err = c.post(ctx, "/v1/challenges", body{"org": "demo", "user": body{"id": user, "email": email}}, &a)
	if err == nil && a.Decision == "challenge" {
		err = c.post(ctx, "/v1/challenges/"+a.Challenge.ID+"/verify", body{"code": ask(a.Challenge.Sent.Hint)}, &a)
	}
	if err != nil {
		return said, err
	}
	token, err := jwt.ParseWithClaims(a.Token, &said, c.jwks, jwt.WithValidMethods([]string{"ES256"}),
		jwt.WithIssuer(c.url), jwt.WithAudience("local"), jwt.WithSubject(user), jwt.WithExpirationRequired())
	if err == nil && (token.Header["typ"] != "countersign+jwt" || said.Org != "demo") {
		err = errors.New("the token is of another sort or of another organisation")
	}
	return said, err
}

// post sends JSON and reads the answer. If the call is refused, it returns an error.
func (c countersign) post(ctx context.Context, path string, ask body, into *answer) error {
	text, err := json.Marshal(ask)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+c.key)
	r.Header.Set("Content-Type", "application/json")
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer got.Body.Close()
	if got.StatusCode >= 300 {
		return fmt.Errorf("%s: %s", path, got.Status)
	}
	return json.NewDecoder(got.Body).Decode(into)
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := countersign{url: os.Getenv("COUNTERSIGN_URL"), key: os.Getenv("COUNTERSIGN_KEY")}
	keys, err := keyfunc.NewDefaultCtx(ctx, []string{c.url + "/.well-known/jwks.json"})
	if err != nil {
		log.Fatal(err)
	}
	c.jwks = keys.Keyfunc
	const email = "leo@demo.example"
	said, err := c.signIn(ctx, "leo", email, func(hint string) string {
		fmt.Println("A code was sent to", hint)
		code, err := outbox.Code(ctx, c.url, email)
		if err != nil {
			log.Fatal(err)
		}
		return code
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("Go: %s of %s is signed in, verified: %t\n", said.Subject, said.Org, said.Verified)
}
