// Command check prints whether a token is good, and what it says. It does what an application does with golang-jwt.
//
//	go -C infra/clients/go run ./check ISSUER TOKEN
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: check ISSUER TOKEN")
	}
	issuer, token := os.Args[1], os.Args[2]
	keys, err := keyfunc.NewDefault([]string{issuer + "/.well-known/jwks.json"})
	if err != nil {
		log.Fatal(err)
	}
	claims := jwt.MapClaims{}
	read, err := jwt.ParseWithClaims(token, claims, keys.Keyfunc,
		jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer(issuer), jwt.WithExpirationRequired())
	if err == nil && read.Header["typ"] != "countersign+jwt" {
		err = errors.New("it is of another sort")
	}
	if err != nil {
		log.Fatal("The token is not good: ", err)
	}
	text, err := json.MarshalIndent(claims, "", "  ")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("The token is good, and says:\n%s\n", text)
}
