// Command clients signs a user in with the client that oapi-codegen makes from the OpenAPI document.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"

	"clients/countersign"
	"clients/outbox"
)

const (
	org   = "go"
	user  = "ana"
	email = "ana@go.example"
	nonce = "n-go"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := signIn(ctx, os.Getenv("COUNTERSIGN_URL"), os.Getenv("COUNTERSIGN_KEY")); err != nil {
		log.Fatal(err)
	}
}

func signIn(ctx context.Context, base, key string) error {
	c, err := countersign.NewClientWithResponses(base, countersign.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+key)
		return nil
	}))
	if err != nil {
		return err
	}
	if err := askEveryone(ctx, c); err != nil {
		return err
	}
	asked, err := start(ctx, c)
	if err != nil {
		return err
	}
	code, err := outbox.Code(ctx, base, email)
	if err != nil {
		return err
	}
	answer := countersign.VerifyRequest{Code: &code, Trust: &countersign.TrustChoice{Name: new("Go")}}
	verified, err := c.VerifyChallengeWithResponse(ctx, asked.Challenge.Id, nil, answer)
	if err != nil {
		return err
	}
	if verified.JSON200 == nil || verified.JSON200.TrustToken == nil {
		return fmt.Errorf("verify: %s %s", verified.Status(), verified.Body)
	}
	claims, err := check(ctx, base, verified.JSON200.Token)
	if err != nil {
		return err
	}
	again, err := c.VerifyChallengeWithResponse(ctx, asked.Challenge.Id, nil, answer)
	if err != nil {
		return err
	}
	if p := again.ApplicationproblemJSONDefault; p == nil || p.Code == nil || *p.Code != countersign.CodeChallengeInvalid {
		return fmt.Errorf("the same code again: %s %s", again.Status(), again.Body)
	}
	fmt.Printf("Go: %s of %s is signed in, by %v\n", claims.Sub, claims.Org, claims.Amr)
	return nil
}

// askEveryone puts the profile with which everyone is asked for a code by email.
func askEveryone(ctx context.Context, c *countersign.ClientWithResponses) error {
	policy, err := c.GetPolicyWithResponse(ctx, org, nil)
	if err != nil {
		return err
	}
	if policy.JSON200 == nil {
		return fmt.Errorf("get the policy: %s %s", policy.Status(), policy.Body)
	}
	put, err := c.PutPolicyWithResponse(ctx, org,
		&countersign.PutPolicyParams{IfMatch: policy.HTTPResponse.Header.Get("ETag")},
		countersign.PolicyChange{Profile: new(countersign.PolicyChangeProfileKls), Acknowledge: new(true)})
	if err != nil {
		return err
	}
	if put.JSON200 == nil || put.JSON200.Require != countersign.PolicyRequireEveryone {
		return fmt.Errorf("put the policy: %s %s", put.Status(), put.Body)
	}
	return nil
}

func start(ctx context.Context, c *countersign.ClientWithResponses) (countersign.Asked, error) {
	started, err := c.StartChallengeWithResponse(ctx, nil, countersign.SignIn{
		Org: org, User: countersign.Person{Id: user, Email: new(email)}, Nonce: new(nonce),
	})
	if err != nil {
		return countersign.Asked{}, err
	}
	if started.JSON201 == nil {
		return countersign.Asked{}, fmt.Errorf("start: %s %s", started.Status(), started.Body)
	}
	what, err := started.JSON201.ValueByDiscriminator()
	if err != nil {
		return countersign.Asked{}, err
	}
	asked, ok := what.(countersign.Asked)
	if !ok || asked.Challenge.Sent == nil {
		return countersign.Asked{}, fmt.Errorf("start: %s", started.Body)
	}
	return asked, nil
}

// check verifies a token with golang-jwt and the published keys, and returns its claims.
func check(ctx context.Context, base, token string) (countersign.TokenClaims, error) {
	var claims countersign.TokenClaims
	keys, err := keyfunc.NewDefaultCtx(ctx, []string{base + "/.well-known/jwks.json"})
	if err != nil {
		return claims, err
	}
	said := jwt.MapClaims{}
	if _, err := jwt.ParseWithClaims(token, said, keys.Keyfunc,
		jwt.WithValidMethods([]string{"ES256"}), jwt.WithAudience("local"), jwt.WithExpirationRequired()); err != nil {
		return claims, err
	}
	text, err := json.Marshal(said)
	if err != nil {
		return claims, err
	}
	if err := json.Unmarshal(text, &claims); err != nil {
		return claims, err
	}
	if !claims.Verified || claims.Sub != user || claims.Org != org || claims.Nonce == nil || *claims.Nonce != nonce {
		return claims, fmt.Errorf("the token says %s", text)
	}
	return claims, nil
}
