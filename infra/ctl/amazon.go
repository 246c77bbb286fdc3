package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"

	"countersign/pkg/apikey"
)

// An account has the credentials and the region for calls to Amazon. It is an aws.CredentialsProvider.
type account struct {
	region      string
	credentials aws.Credentials
	fips        bool // whether Amazon is called at its endpoints with FIPS 140 cryptography
}

// Retrieve implements aws.CredentialsProvider.
func (a account) Retrieve(context.Context) (aws.Credentials, error) { return a.credentials, nil }

// GetUseFIPSEndpoint implements the interface by which the SDK's clients read this setting from a source of an aws.Config.
func (a account) GetUseFIPSEndpoint(context.Context) (state aws.FIPSEndpointState, found bool, err error) {
	if a.fips {
		return aws.FIPSEndpointStateEnabled, true, nil
	}
	return aws.FIPSEndpointStateDisabled, true, nil
}

// config returns the settings of the SDK's clients.
func (a account) config(p *program) aws.Config {
	c := aws.Config{Region: a.region, Credentials: a, ConfigSources: []any{a}}
	if p.amazon != nil {
		c.HTTPClient = p.amazon
	}
	return c
}

const exportCredentials = `eval "$(aws configure export-credentials --format env)"`

// account takes the region from the flags or from the environment, and the credentials from the environment.
func (p place) account(o *program) (account, error) {
	region := p.Region
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION"} {
		if region == "" {
			region = o.environment(name)
		}
	}
	if !regionName.MatchString(region) {
		return account{}, wrongCall("the region of the table is required: give --region, such as --region eu-central-1")
	}
	a := account{region: region, fips: o.environment("AWS_USE_FIPS_ENDPOINT") == "true", credentials: aws.Credentials{
		AccessKeyID:     o.environment("AWS_ACCESS_KEY_ID"),
		SecretAccessKey: o.environment("AWS_SECRET_ACCESS_KEY"),
		SessionToken:    o.environment("AWS_SESSION_TOKEN"),
	}}
	if a.credentials.AccessKeyID == "" || a.credentials.SecretAccessKey == "" {
		return account{}, fmt.Errorf("the environment has no AWS credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY); to set them: %s",
			exportCredentials)
	}
	return a, nil
}

// refusedBy returns the code with which one of Amazon's services has refused a request. It is empty if err is not such an answer.
func refusedBy(err error) string {
	if refused, ok := errors.AsType[interface {
		error
		ErrorCode() string
	}](err); ok {
		return refused.ErrorCode()
	}
	return ""
}

// explain says what went wrong and, if that is known, what to do. It leaves out Amazon's own text, because that can quote from
// the request, and the request contains the session token.
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
		return "Amazon doesn't accept the credentials (" + code + "): get new ones with " + exportCredentials + ", and check that this machine's clock is right"
	case "AccessDeniedException", "AccessDenied":
		return "the credentials don't allow this (" + code + "): use those of an administrator of the account"
	}
	return "Amazon refused the call: " + code
}
