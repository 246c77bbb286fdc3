package cloud_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"

	"countersign/infra/amazon/amazontest"
	"countersign/pkg/cloud"
)

// asked notes the host that a request is for, and sends nothing.
type asked struct{ url string }

func (a *asked) Do(r *http.Request) (*http.Response, error) {
	a.url = r.URL.Scheme + "://" + r.URL.Host
	return nil, errors.New("nothing is sent")
}

// services returns a function for each of Amazon's services, which calls the service once. The hosts are documented at
// https://docs.aws.amazon.com/general/latest/gr/rande.html and https://aws.amazon.com/compliance/fips/
func services(t *testing.T) []func(aws.Config) {
	return []func(aws.Config){
		func(c aws.Config) { dynamodb.NewFromConfig(c).ListTables(t.Context(), nil) },
		func(c aws.Config) {
			kms.NewFromConfig(c).Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: []byte{1}})
		},
		func(c aws.Config) {
			eventbridge.NewFromConfig(c).PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{}})
		},
		func(c aws.Config) { sesv2.NewFromConfig(c).GetAccount(t.Context(), nil) },
	}
}

func TestAServiceIsCalledWhereItsRegionHasItAndWithFIPSIfThatIsAsked(t *testing.T) {
	for _, c := range []struct {
		region, fips string
		want         []string // in the order of services
	}{
		{"eu-central-1", "", []string{"dynamodb.eu-central-1.amazonaws.com", "kms.eu-central-1.amazonaws.com", "events.eu-central-1.amazonaws.com", "email.eu-central-1.amazonaws.com"}},
		{"eu-central-1", "false", []string{"dynamodb.eu-central-1.amazonaws.com", "kms.eu-central-1.amazonaws.com", "events.eu-central-1.amazonaws.com", "email.eu-central-1.amazonaws.com"}},
		{"us-east-1", "true", []string{"dynamodb-fips.us-east-1.amazonaws.com", "kms-fips.us-east-1.amazonaws.com", "events-fips.us-east-1.amazonaws.com", "email-fips.us-east-1.amazonaws.com"}},
		{"cn-north-1", "", []string{"dynamodb.cn-north-1.amazonaws.com.cn", "kms.cn-north-1.amazonaws.com.cn", "events.cn-north-1.amazonaws.com.cn", "email.cn-north-1.amazonaws.com.cn"}},
		{"us-gov-west-1", "true", []string{"dynamodb.us-gov-west-1.amazonaws.com", "kms-fips.us-gov-west-1.amazonaws.com", "events.us-gov-west-1.amazonaws.com", "email-fips.us-gov-west-1.amazonaws.com"}},
		{"us-iso-east-1", "", []string{"dynamodb.us-iso-east-1.c2s.ic.gov", "kms.us-iso-east-1.c2s.ic.gov", "events.us-iso-east-1.c2s.ic.gov", "email.us-iso-east-1.c2s.ic.gov"}},
	} {
		for i, got := range hosts(t, map[string]string{"AWS_REGION": c.region, "AWS_USE_FIPS_ENDPOINT": c.fips}) {
			if want := "https://" + c.want[i]; got != want {
				t.Errorf("%s, FIPS %q: got %s, want %s", c.region, c.fips, got, want)
			}
		}
	}
}

// hosts returns the URLs at which a deployed function calls the services.
func hosts(t *testing.T, environment map[string]string) (urls []string) {
	t.Helper()
	w := newWorld(t)
	delete(w.Env, "COUNTERSIGN_DYNAMODB_ENDPOINT")
	maps.Copy(w.Env, environment)
	for _, call := range services(t) {
		there := &asked{}
		settings := w.open().Amazon("COUNTERSIGN_DYNAMODB_ENDPOINT")
		settings.HTTPClient, settings.Retryer = there, func() aws.Retryer { return aws.NopRetryer{} }
		call(settings)
		urls = append(urls, there.url)
	}
	return urls
}

func TestTheSDKsOwnSettingsPointAFunctionNowhere(t *testing.T) {
	want := hosts(t, nil)
	nowhere := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(nowhere, []byte("[default]\nendpoint_url = https://elsewhere.example\nuse_fips_endpoint = true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_KMS", "AWS_ENDPOINT_URL_EVENTBRIDGE", "AWS_ENDPOINT_URL_SESV2"} {
		t.Setenv(name, "https://elsewhere.example")
	}
	t.Setenv("AWS_CONFIG_FILE", nowhere)
	t.Setenv("AWS_USE_FIPS_ENDPOINT", "true") // the environment of this process, which isn't that of the function
	if got := hosts(t, nil); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	hits := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits++
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}))
	defer s.Close()
	w := newWorld(t)
	w.Env["COUNTERSIGN_KMS_ENDPOINT"] = s.URL
	_, err := kms.NewFromConfig(w.open().Amazon("COUNTERSIGN_KMS_ENDPOINT")).Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: []byte{1}})
	if got := cloud.Failure(err); got == nil || got.Error() != "refused with status 307" || hits != 1 {
		t.Errorf("got %v after %d requests, want a refusal after one", got, hits)
	}
}

// The text of the SDK's error says more than a log may say.
func TestAFailureIsToldByItsCodeAndNothingElse(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"a code":                   {400, `{"__type":"DisabledException","message":"arn:aws:kms:secret"}`, "refused: DisabledException (status 400)"},
		"a code of a namespace":    {400, `{"__type":"com.amazonaws.kms#NotFoundException"}`, "refused: NotFoundException (status 400)"},
		"a code that nobody knows": {403, `{"__type":"SomethingNewException","message":"secret"}`, "refused: SomethingNewException (status 403)"},
		"no code":                  {400, `{"message":"secret"}`, "refused with status 400"},
		"a code that is a text":    {400, `{"__type":"bob@secret.example"}`, "refused with status 400"},
		"a code that is too long":  {400, `{"__type":"` + strings.Repeat("secret", 14) + `"}`, "refused with status 400"},
		"no JSON":                  {502, `<html>secret</html>`, "refused with status 502"},
		"an answer cut short":      {200, `{"Plaintext":"c2VjcmV0`, "no answer"},
		"an answer lost":           {amazontest.Lose, "", "no answer"},
	} {
		w := newWorld(t)
		w.Answer(func(amazontest.Asked) (int, string) { return c.status, c.body })
		settings := w.open().Amazon("COUNTERSIGN_KMS_ENDPOINT")
		settings.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
		_, err := kms.NewFromConfig(settings).Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: []byte{1}})
		if got := cloud.Failure(err); got == nil || got.Error() != c.want {
			t.Errorf("%s: got %v, want %s", name, got, c.want)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := kms.NewFromConfig(newWorld(t).open().Amazon("COUNTERSIGN_KMS_ENDPOINT")).Decrypt(ended, &kms.DecryptInput{CiphertextBlob: []byte{1}})
	if got := cloud.Failure(err); got == nil || got.Error() != "no answer in time" {
		t.Errorf("cancelled: got %v, want no answer in time", got)
	}
	if got := cloud.Failure(nil); got != nil {
		t.Errorf("got %v for no error", got)
	}
}
