package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"

	"countersign/pkg/apikey"
)

// An account is who asks Amazon, and in which region. It is an aws.CredentialsProvider.
type account struct {
	region      string
	credentials aws.Credentials
}

// Retrieve implements aws.CredentialsProvider.
func (a account) Retrieve(context.Context) (aws.Credentials, error) { return a.credentials, nil }

const exportCredentials = `eval "$(aws configure export-credentials --format env)"`

// account reads from the environment what isn't in the flags.
func (p place) account(o *program) (account, error) {
	region := p.Region
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION"} {
		if region == "" {
			region = o.environment(name)
		}
	}
	if !regionName.MatchString(region) {
		return account{}, wrongCall("which region the table is in isn't known: give --region, such as --region eu-central-1")
	}
	a := account{region, aws.Credentials{
		AccessKeyID:     o.environment("AWS_ACCESS_KEY_ID"),
		SecretAccessKey: o.environment("AWS_SECRET_ACCESS_KEY"),
		SessionToken:    o.environment("AWS_SESSION_TOKEN"),
	}}
	if a.credentials.AccessKeyID == "" || a.credentials.SecretAccessKey == "" {
		return account{}, fmt.Errorf("the environment holds no AWS credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY); to have them there: %s",
			exportCredentials)
	}
	return a, nil
}

// refusedBy is the code of the error that one of Amazon's services answered; empty: it didn't answer, or not with an error.
func refusedBy(err error) string {
	if refused, ok := errors.AsType[interface {
		error
		ErrorCode() string
	}](err); ok {
		return refused.ErrorCode()
	}
	return ""
}

// explain says what went wrong, in words that tell what to do where that is known. What Amazon says in free text is left
// out: it quotes from the request, with the session token.
func explain(err error) string {
	if code := refusedBy(err); code != "" {
		return explainRefusal(code)
	}
	if wrong, ok := errors.AsType[*apikey.InvalidError](err); ok {
		return wrong.Error()
	}
	return err.Error()
}

func explainRefusal(code string) string {
	switch code {
	case "ResourceNotFoundException", "TableNotFoundException":
		return "there is no such table in that region, for these credentials: compare --table and --region with the output TableName of the stack"
	case "UnrecognizedClientException", "InvalidSignatureException", "InvalidClientTokenId", "ExpiredTokenException", "ExpiredToken",
		"MissingAuthenticationTokenException", "SignatureDoesNotMatch", "IncompleteSignature", "InvalidAccessKeyId":
		return "Amazon doesn't take the credentials (" + code + "): get fresh ones by " + exportCredentials + ", and see that this machine's clock is right"
	case "AccessDeniedException", "AccessDenied":
		return "the credentials may not do that (" + code + "): use those of an administrator of the account"
	}
	return "Amazon refused: " + code
}
