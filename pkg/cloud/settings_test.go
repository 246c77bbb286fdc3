package cloud_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"countersign/infra/amazon/amazontest"
	"countersign/pkg/api"
	"countersign/pkg/cloud"
	"countersign/pkg/cloud/email"
	"countersign/pkg/cloud/eventbus"
	"countersign/pkg/cloud/keyring"
	"countersign/pkg/cloud/textmessage"
	"countersign/pkg/message"
	"countersign/pkg/store"
)

// A world has what the processes of a deployment find.
type world struct{ *amazontest.World }

// newWorld makes a world without a table.
func newWorld(t testing.TB) world { return world{amazontest.New(t)} }

// process returns a process that has just started.
func (w world) process() cloud.Process {
	return cloud.Process{Step: "verify", Environment: w.Getenv, Output: &w.Log, Now: w.Now}
}

func (w world) open() *cloud.Deployment { return cloud.Open(w.process()) }

// verify builds the function verify in the same way as its main.
func verify(d *cloud.Deployment) http.Handler {
	s := d.Service()
	s.Keys = keyring.Of(d)
	return api.New(d.Door(), api.Verify(s))
}

// challenge builds the function challenge in the same way as its main, but without keys.
func challenge(d *cloud.Deployment) http.Handler {
	s := d.Service()
	s.Keys, s.Mail = keyring.Of(d), email.Of(d)
	s.Text, s.CodeDomain = textmessage.Of(d), textmessage.CodeDomain(d)
	return api.New(d.Door(), api.Challenge(s))
}

// publish builds the function publish in the same way as its main.
func publish(d *cloud.Deployment) cloud.Deliver {
	s := d.Service()
	s.Mail, s.Bus = email.Of(d), cloud.Counting(eventbus.Of(d))
	return s.Publish
}

// sweep builds the function sweep in the same way as its main.
func sweep(d *cloud.Deployment) cloud.Job {
	s, keys := d.Service(), keyring.Of(d)
	s.Keys = keys
	return d.Sweep(s, keys)
}

func decodeJSON(t testing.TB, b []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
}

func TestWhatIsMissingIsNamedAndNothingElseIsAskedFor(t *testing.T) {
	for _, test := range []struct {
		build func(*cloud.Deployment)
		want  string
	}{
		{func(d *cloud.Deployment) { verify(d) },
			"AWS_REGION AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY COUNTERSIGN_TABLE COUNTERSIGN_ISSUER COUNTERSIGN_KMS_KEY"},
		{func(d *cloud.Deployment) { publish(d) },
			"AWS_REGION AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY COUNTERSIGN_TABLE COUNTERSIGN_ISSUER COUNTERSIGN_SENDER COUNTERSIGN_BUS"},
	} {
		w := newWorld(t)
		clear(w.Env)
		d := w.open()
		test.build(d)
		if got := strings.Join(d.FaultNames(), " "); got != test.want {
			t.Errorf("got faults of %s, want of %s", got, test.want)
		}
	}
}

func TestAWholeConfigurationHasNoFault(t *testing.T) {
	w := newWorld(t)
	w.Env["COUNTERSIGN_CLOCK_OFFSET"] = "-90"
	w.Env["COUNTERSIGN_SENDER_NAME"] = "Zoë’s bank"
	w.Env["COUNTERSIGN_SES_CONFIGURATION_SET"] = "mfa_set-1"
	w.Env["COUNTERSIGN_ROUTINE_EVENTS"] = "false"
	w.Env["AWS_USE_FIPS_ENDPOINT"] = "false"
	d := w.open()
	verify(d)
	publish(d)
	if got := d.FaultNames(); len(got) > 0 {
		t.Errorf("got faults of %v, want none", got)
	}
}

func TestAMalformedSettingIsRefused(t *testing.T) {
	for name, values := range map[string][]string{
		"AWS_REGION":                            {"eu-west-1/../x", "a.b"},
		"AWS_USE_FIPS_ENDPOINT":                 {"yes", "1", "TRUE"},
		"COUNTERSIGN_TABLE":                     {"my table", "a\nb"},
		"COUNTERSIGN_KMS_KEY":                   {"key id", `"`},
		"COUNTERSIGN_ISSUER":                    {"mfa.example.com", "http://mfa.example.com", "https://mfa.example.com/", "https://a:b@c", "https://a?b", "https://", "https://a#b"},
		"COUNTERSIGN_SENDER":                    {"nobody", "Bob <bob@example.com>", "a@b.example,c@d.example", "a@b.example\nBcc: c@d.example"},
		"COUNTERSIGN_SENDER_NAME":               {"two\nlines", strings.Repeat("x", 201)},
		"COUNTERSIGN_BUS":                       {"the bus"},
		"COUNTERSIGN_ROUTINE_EVENTS":            {"yes", "1", "TRUE"},
		"COUNTERSIGN_CLOCK_OFFSET":              {"1h", "1.5", "99999999999"},
		"COUNTERSIGN_DYNAMODB_ENDPOINT":         {"http://dynamodb.eu-west-1.amazonaws.com", "http://localhost:8000", "127.0.0.1:8000", "ftp://127.0.0.1", "http://10.0.0.1:80", "http://user@127.0.0.1", "http://127.0.0.1.example.com", "http://127.0.0.1/?x", "http://docker.internal", "http://host.docker.internal.example.com", "ftp://host.docker.internal", "http://user@host.docker.internal"},
		"COUNTERSIGN_KMS_ENDPOINT":              {"https://kms.example.com", "http://169.254.169.254"},
		"COUNTERSIGN_SES_ENDPOINT":              {"https://example.com"},
		"COUNTERSIGN_SNS_ENDPOINT":              {"https://example.com"},
		"COUNTERSIGN_SMS_VOICE_ENDPOINT":        {"https://example.com"},
		"COUNTERSIGN_SMS_PROVIDER":              {"twilio", "SNS", "sns "},
		"COUNTERSIGN_SMS_CODE_DOMAIN":           {"https://acme.example", "acme.example:443", "Acme.example", "acme.example #1", "é.example", domainOf(message.LongestHost + 1)},
		"COUNTERSIGN_SMS_SENDER_ID":             {"Acme & Sons", "123456", "A23456789012", "-", "é"},
		"COUNTERSIGN_SMS_ORIGINATION_NUMBER":    {"4155550100", "+0123456789", "+1 800 555 0100", "arn:aws:sms-voice:eu-west-1:123456789012:pool/pool-1"},
		"COUNTERSIGN_SMS_ORIGINATION_ARN":       {"+18005550100", "pool-1", "arn:aws:sns:eu-west-1:123456789012:topic", "arn:aws:sms-voice:eu-west-1:123456789012:opt-out-list/Default", "arn:aws:sms-voice:eu-west-1:123456789012:pool/*"},
		"COUNTERSIGN_SMS_MAX_PRICE":             {"1", "a lot", "100.00", "-0.5", "1e9", "0.25 USD"},
		"COUNTERSIGN_SMS_CONFIGURATION_SET":     {"my set"},
		"COUNTERSIGN_SMS_PROTECT_CONFIGURATION": {"my protection"},
		"COUNTERSIGN_EVENTBRIDGE_ENDPOINT":      {"https://[2001:db8::1]"},
		"COUNTERSIGN_EDGE_DIGESTS":              {"the secret itself", strings.Repeat("A", 64), strings.Repeat("a", 63), strings.Repeat("a", 64) + ",", strings.Repeat(strings.Repeat("a", 64)+",", 2) + strings.Repeat("b", 64)},
	} {
		for _, value := range values {
			w := newWorld(t)
			w.Env["COUNTERSIGN_SMS_PROVIDER"] = "end-user-messaging"
			w.Env["COUNTERSIGN_SMS_ORIGINATION_ARN"] = "arn:aws:sms-voice:eu-west-1:123456789012:pool/pool-1"
			w.Env[name] = value
			if name == "COUNTERSIGN_SMS_ORIGINATION_NUMBER" || name == "COUNTERSIGN_SMS_SENDER_ID" || name == "COUNTERSIGN_SNS_ENDPOINT" {
				w.Env["COUNTERSIGN_SMS_PROVIDER"] = "sns"
			}
			d := w.open()
			challenge(d)
			publish(d)
			if got := d.FaultNames(); !slices.Equal(got, []string{name}) {
				t.Errorf("%s=%q: got faults of %v, want of it alone", name, value, got)
			}
			if d.Broken(); strings.Contains(w.Log.String(), strings.Trim(value, `"`)) && len(value) > 4 {
				t.Errorf("%s=%q: the log has the value", name, value)
			}
		}
	}
}

// domainOf returns a domain of length characters. length is at least 10 and at most 71.
func domainOf(length int) string { return strings.Repeat("a", length-len(".example")) + ".example" }

func TestM8CodesAreBoundToTheConfiguredDomainOrToTheHostOfTheIssuer(t *testing.T) {
	for name, c := range map[string]struct {
		provider, domain, issuer string
		want                     string
		fault                    bool
	}{
		"a domain":                          {"sns", "login.acme.example", "https://mfa.example.com", "login.acme.example", false},
		"no domain":                         {"end-user-messaging", "", "https://mfa.example.com:8443/path", "mfa.example.com", false},
		"the longest domain":                {"sns", domainOf(message.LongestHost), "https://mfa.example.com", domainOf(message.LongestHost), false},
		"the longest issuer":                {"sns", "", "https://" + domainOf(message.LongestHost), domainOf(message.LongestHost), false},
		"an issuer that is too long":        {"sns", "", "https://" + domainOf(message.LongestHost+1), "", true},
		"a domain for such an issuer":       {"sns", "acme.example", "https://" + domainOf(message.LongestHost+1), "acme.example", false},
		"such an issuer, and no messages":   {"none", "", "https://" + domainOf(message.LongestHost+1), "", false},
		"such an issuer, and no provider":   {"", "", "https://" + domainOf(message.LongestHost+1), "", false},
		"a domain, where nothing is texted": {"none", "acme.example", "https://mfa.example.com", "", false},
	} {
		w := newWorld(t)
		w.Env["COUNTERSIGN_SMS_PROVIDER"], w.Env["COUNTERSIGN_SMS_CODE_DOMAIN"], w.Env["COUNTERSIGN_ISSUER"] = c.provider, c.domain, c.issuer
		d := w.open()
		if got := textmessage.CodeDomain(d); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
		var faults []string
		if c.fault {
			faults = []string{"COUNTERSIGN_SMS_CODE_DOMAIN"}
		}
		if got := d.FaultNames(); !slices.Equal(got, faults) {
			t.Errorf("%s: got faults of %v, want of %v", name, got, faults)
		}
	}
}

func TestTheIssuerMayBePlainHTTPOnlyOnThisMachine(t *testing.T) {
	for issuer, want := range map[string]bool{
		"https://mfa.example.com": true, "https://example.com/mfa": true,
		"http://127.0.0.1:8081": true, "http://localhost:8081": true, "http://[::1]:1": true,
		"http://localhost.example.com": false,
	} {
		w := newWorld(t)
		w.Env["COUNTERSIGN_ISSUER"] = issuer
		d := w.open()
		verify(d)
		if got := len(d.FaultNames()) == 0; got != want {
			t.Errorf("%s: got taken %v, want %v", issuer, got, want)
		}
	}
}

func TestTheClockIsMovedOnlyWhereTheTableIsOnThisMachine(t *testing.T) {
	w := newWorld(t)
	w.Env["COUNTERSIGN_CLOCK_OFFSET"] = "3600"
	real := w.process()
	real.Now = nil
	d := cloud.Open(real)
	if ahead := time.Until(d.Now()); ahead < 59*time.Minute || ahead > time.Hour {
		t.Errorf("got a clock ahead by %s, want an hour", ahead)
	}
	if now := d.Now(); strings.Contains(now.String(), " m=") {
		t.Errorf("got %s, with a reading that stands still while the process is frozen", now)
	}
	delete(w.Env, "COUNTERSIGN_DYNAMODB_ENDPOINT")
	d = cloud.Open(real)
	if ahead := time.Until(d.Now()); ahead > time.Second {
		t.Errorf("off this machine: got a clock ahead by %s, want none", ahead)
	}
	if got, want := d.FaultNames(), []string{"COUNTERSIGN_CLOCK_OFFSET"}; !slices.Equal(got, want) {
		t.Errorf("off this machine: got faults of %v, want of %v", got, want)
	}
}

func TestOnlyOnADevelopersMachineIsAFunctionPointedElsewhere(t *testing.T) {
	endpoints := []string{
		"COUNTERSIGN_DYNAMODB_ENDPOINT", "COUNTERSIGN_KMS_ENDPOINT", "COUNTERSIGN_SES_ENDPOINT", "COUNTERSIGN_EVENTBRIDGE_ENDPOINT",
		"COUNTERSIGN_SNS_ENDPOINT",
	}
	for _, where := range []struct {
		name, sam, stream string
		may               bool
	}{
		{"under the SAM command line", "true", "$LATEST", true},
		{"in a program that stands for it", "true", "", true},
		{"deployed", "", "2026/11/30/[$LATEST]0123456789abcdef0123456789abcdef", false},
		{"deployed, with its logs in a group of its own", "", "2026/11/30/countersign-dev-verify[$LATEST]0123456789abcdef", false},
		{"deployed, by somebody who sets what SAM sets", "true", "2026/11/30/[$LATEST]0123456789abcdef0123456789abcdef", false},
		{"deployed as a version, by somebody who sets what SAM sets", "true", "2026/11/30/[7]0123456789abcdef0123456789abcdef", false},
		{"where nobody says anything", "", "", false},
		{"where SAM's variable has another value", "1", "$LATEST", false},
	} {
		for _, name := range endpoints {
			for _, at := range []string{"http://127.0.0.1:8081", "https://[::1]:8081/path", "http://host.docker.internal:8081"} {
				w := newWorld(t)
				for _, e := range endpoints {
					delete(w.Env, e)
				}
				w.Env["COUNTERSIGN_SMS_PROVIDER"] = "sns"
				w.Env[name], w.Env["AWS_SAM_LOCAL"], w.Env["AWS_LAMBDA_LOG_STREAM_NAME"] = at, where.sam, where.stream
				d := w.open()
				challenge(d)
				publish(d)
				want := []string{name}
				if where.may {
					want = nil
				}
				if got := d.FaultNames(); !slices.Equal(got, want) {
					t.Errorf("%s, %s=%s: got faults of %v, want of %v", where.name, name, at, got, want)
				}
			}
		}
	}
}

func TestADeployedFunctionThatIsPointedElsewhereAsksNobodyAnything(t *testing.T) {
	w := newWorld(t)
	w.Env["AWS_LAMBDA_LOG_STREAM_NAME"] = "2026/11/30/[$LATEST]0123456789abcdef0123456789abcdef"
	w.Env["COUNTERSIGN_DYNAMODB_ENDPOINT"] = w.URL
	w.Env["COUNTERSIGN_CLOCK_OFFSET"] = "3600"
	d := w.open()
	out, err := d.Serving(verify).Invoke(t.Context(), cloud.Payload(t, "POST", "/v1/challenges/ch_x/verify", nil, "{}"))
	if err != nil {
		t.Fatal(err)
	}
	var res cloud.ProxyResponse
	if decodeJSON(t, out, &res); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("got %d %s, want 503", res.StatusCode, res.Body)
	}
	if got := w.Requests(); len(got) > 0 {
		t.Errorf("it asked for %v", got)
	}
	if got, want := strings.Join(d.FaultNames(), " "), "COUNTERSIGN_DYNAMODB_ENDPOINT COUNTERSIGN_CLOCK_OFFSET COUNTERSIGN_KMS_ENDPOINT"; got != want {
		t.Errorf("got faults of %s, want of %s", got, want)
	}
}

func TestAnUnconfiguredFunctionAnswersEveryCallAsUnavailable(t *testing.T) {
	w := newWorld(t)
	delete(w.Env, "COUNTERSIGN_TABLE")
	w.Env["COUNTERSIGN_KMS_KEY"] = "not a key"
	h := w.open().Serving(verify)
	if log := w.Log.String(); !strings.Contains(log, `"setting":"COUNTERSIGN_TABLE"`) || !strings.Contains(log, `"setting":"COUNTERSIGN_KMS_KEY"`) {
		t.Errorf("the log at the start doesn't name both settings: %s", log)
	}
	for _, call := range []string{"POST /v1/challenges/ch_x/verify", "GET /", "DELETE /v1/orgs/x/users/y"} {
		method, path, _ := strings.Cut(call, " ")
		out, err := h.Invoke(t.Context(), cloud.Edited(t, func(r *events.APIGatewayV2HTTPRequest) {
			r.RequestContext.HTTP.Method, r.RawPath, r.RawQueryString, r.Body = method, path, "user=%zz", "{}"
		}))
		if err != nil {
			t.Fatal(err)
		}
		var res cloud.ProxyResponse
		var problem struct {
			Code      string `json:"code"`
			RequestID string `json:"request_id"`
		}
		decodeJSON(t, out, &res)
		decodeJSON(t, []byte(res.Body), &problem)
		if res.StatusCode != 503 || problem.Code != "unavailable" || problem.RequestID != "gw-1" ||
			res.Headers["Content-Type"] != "application/problem+json" {
			t.Errorf("%s: got %d %s, want an unavailable problem of request gw-1", call, res.StatusCode, res.Body)
		}
		if strings.Contains(res.Body, "COUNTERSIGN") {
			t.Errorf("%s: the answer says what is wrong inside: %s", call, res.Body)
		}
	}
	if len(w.Requests()) > 0 {
		t.Errorf("an unconfigured function asked Amazon for %s", w.Operations())
	}
}

func TestAnUnconfiguredFunctionTakesNoBatchAndFailsItsRun(t *testing.T) {
	w := newWorld(t)
	w.Env["COUNTERSIGN_BUS"] = ""
	follower := w.open().Streaming(publish)
	out, err := follower.Invoke(t.Context(), cloud.Batch("7"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(out), `{"batchItemFailures":[{"itemIdentifier":"7"}]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if out, err := follower.Invoke(t.Context(), cloud.Batch("7", "8")); !errors.Is(err, cloud.ErrNoneTaken) {
		t.Errorf("got %s, %v, want %v", out, err, cloud.ErrNoneTaken)
	}
	w.Env["COUNTERSIGN_ISSUER"] = ""
	h := w.open().Scheduling(sweep)
	if _, err := h.Invoke(t.Context(), []byte("{}")); err == nil {
		t.Error("the run of an unconfigured sweep did not fail")
	}
}

func TestARunThatFailsSaysWhyInTheLogOnly(t *testing.T) {
	w := newWorld(t)
	h := w.open().Scheduling(func(*cloud.Deployment) cloud.Job {
		return func(context.Context) error { return store.ErrConflict }
	})
	_, err := h.Invoke(t.Context(), nil)
	if err == nil || strings.Contains(err.Error(), "conflict") {
		t.Errorf("got %v, want an error without its cause", err)
	}
	if !strings.Contains(w.Log.String(), "store: conflict") {
		t.Errorf("the log has no cause: %s", w.Log.String())
	}
}
