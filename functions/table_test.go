package functions

import (
	"crypto/rand"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"countersign/infra/dynamolocal/dynamolocaltest"
	"countersign/infra/emulator/emulator"
	"countersign/infra/emulator/template"
	"countersign/pkg/store"
	"countersign/pkg/store/dynamo"
)

// templatesTable makes the table of the template under a name of its own.
func templatesTable(t *testing.T, client *dynamodb.Client) string {
	t.Helper()
	name := "functions-" + rand.Text()
	if err := emulator.CreateTable(t.Context(), client, "..", name); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestTheTemplatesTableIsTheStores(t *testing.T) {
	client := dynamo.LocalClient(dynamolocaltest.Endpoint(t))
	describe := func(name string) *types.TableDescription {
		t.Helper()
		out, err := client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String(name)})
		if err != nil {
			t.Fatal(err)
		}
		return out.Table
	}
	ours := "functions-" + rand.Text()
	if err := dynamo.CreateTable(t.Context(), client, ours); err != nil {
		t.Fatal(err)
	}
	got, want := describe(templatesTable(t, client)), describe(ours)
	for what, pair := range map[string][2]any{
		"keys": {got.KeySchema, want.KeySchema}, "attributes": {got.AttributeDefinitions, want.AttributeDefinitions},
		"stream": {got.StreamSpecification, want.StreamSpecification}, "billing": {got.BillingModeSummary.BillingMode, want.BillingModeSummary.BillingMode},
		"indexes": {len(got.GlobalSecondaryIndexes) + len(got.LocalSecondaryIndexes), 0},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s: template.yaml has %v, and the store needs %v", what, pair[0], pair[1])
		}
	}
}

// DynamoDB deletes an item after the time in one attribute, which is a number of seconds since 1970.
func TestTheTablesTimeToLiveIsWhatTheStoreWrites(t *testing.T) {
	deployed, _ := readTemplate(t)
	client := dynamo.LocalClient(dynamolocaltest.Endpoint(t))
	name := templatesTable(t, client)
	expires := time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)
	err := dynamo.New(dynamo.Options{Client: client, Table: name}).Commit(t.Context(), store.NewVersion(), store.Write{
		Key: store.Key{Partition: "ch_1", Sort: "challenge"}, Body: []byte("{}"), Expires: expires,
	})
	if err != nil {
		t.Fatal(err)
	}
	all, err := client.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String(name)})
	if err != nil || len(all.Items) != 1 {
		t.Fatalf("%d items, %v, want 1", len(all.Items), err)
	}
	said, _ := template.Of(deployed.Resources["Table"].Properties, "TimeToLiveSpecification", "AttributeName").(string)
	number, ok := all.Items[0][said].(*types.AttributeValueMemberN)
	if !ok || number.Value != strconv.FormatInt(expires.Unix(), 10) {
		t.Errorf("DynamoDB looks at the attribute %q, which the store gives %v, want %d", said, all.Items[0][said], expires.Unix())
	}
}

func TestNobodyButTheFunctionsMayUseTheKey(t *testing.T) {
	deployed, functions := readTemplate(t)
	var roles []string
	for _, f := range functions {
		roles = append(roles, "${"+f.Role+".Arn}")
	}
	// These actions use a key, or let somebody else use it. https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html
	uses := []string{
		"kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:GenerateDataKeyPair",
		"kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:CreateGrant", "kms:GenerateMac", "kms:Sign", "kms:DeriveSharedSecret",
		"kms:ImportKeyMaterial", "kms:DeleteImportedKeyMaterial", "kms:ReplicateKey",
	}
	statements, _ := template.Of(deployed.Resources["Key"].Properties, "KeyPolicy", "Statement").([]any)
	if len(statements) != 2 {
		t.Fatalf("%d statements, want 2", len(statements))
	}
	for _, s := range statements {
		who := template.Several(template.Of(s, "Principal", "AWS"))
		account := slices.Equal(who, []string{"arn:${AWS::Partition}:iam::${AWS::AccountId}:root"})
		allowed := template.Several(template.Of(s, "Action"))
		switch {
		case template.Of(s, "Effect") != "Allow" || len(who) == 0:
			t.Errorf("%v: a statement that this test doesn't know", template.Of(s, "Sid"))
		case account:
			for _, use := range uses {
				if anyMatches(allowed, use) {
					t.Errorf("%v lets the account's administrators use the key: %s", template.Of(s, "Sid"), use)
				}
			}
			if !anyMatches(allowed, "kms:PutKeyPolicy") {
				t.Error("nobody may change the policy any more, so that the key can't be managed")
			}
		default:
			for _, one := range who {
				if !slices.Contains(roles, one) {
					t.Errorf("%s may use the key, and is no function's role", one)
				}
			}
		}
	}
}

func TestTheAccessLogHasNoIdsOrAddresses(t *testing.T) {
	deployed, _ := readTemplate(t)
	format, _ := template.Of(deployed.Resources["ApiStage"].Properties, "AccessLogSettings", "Format").(string)
	// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html
	may := []string{
		"$context.requestId", "$context.routeKey", "$context.status", "$context.responseLatency", "$context.integrationLatency",
		"$context.error.responseType", "$context.integrationErrorMessage",
	}
	same(t, "the access log", regexp.MustCompile(`\$[A-Za-z.]+`).FindAllString(format, -1), "what may be in it", may)
	if strings.Contains(strings.TrimSpace(format), "\n") {
		t.Error("a call would be several lines")
	}
}

func TestAFunctionHasTheTimeThatItsCodeCountsOn(t *testing.T) {
	source, err := os.ReadFile("../pkg/cloud/deployment.go")
	if err != nil {
		t.Fatal(err)
	}
	counted := regexp.MustCompile(`\bfunctionTime = ([0-9]+) \* time\.Second\n`).FindSubmatch(source)
	if counted == nil {
		t.Fatal("pkg/cloud doesn't say for how long a function runs at most")
	}
	seconds, _ := strconv.Atoi(string(counted[1]))
	_, functions := readTemplate(t)
	for step, f := range functions {
		if len(f.Routes) > 0 && f.Timeout != time.Duration(seconds)*time.Second {
			t.Errorf("%s: template.yaml gives it %s, and its code counts on %d s", step, f.Timeout, seconds)
		}
	}
}

func TestAParameterTakesWhatFunctionsTake(t *testing.T) {
	deployed, _ := readTemplate(t)
	for _, c := range []struct {
		parameter string
		good, bad []string
	}{
		{"Stage", []string{"dev", "prod", "eu2"}, []string{"", "d", "Dev", "2eu", "a-b", "abcdefghijklm"}},
		{"SenderAddress", []string{"sign-in@example.com", "a.b+c@mail.example.co"},
			[]string{"", "change-me", "example.com", "Bob <bob@example.com>", "a@b.example,c@d.example", "a@b.example\nBcc: c@d.example", "a@example", "é@example.com"}},
		{"SenderName", []string{"Countersign", "A & B's bank - 2."}, []string{"", " x", "two\nlines", "<b>", "é", strings.Repeat("x", 65)}},
		{"SesConfigurationSet", []string{"", "mfa_set-1"}, []string{"a b", "a/b", strings.Repeat("x", 65)}},
		{"MakeSesConfigurationSet", []string{"yes", "no"}, []string{"true", ""}},
		{"Issuer", []string{"", "https://mfa.example.com", "https://mfa.example.com:8443"},
			[]string{"http://mfa.example.com", "https://mfa.example.com/", "https://MFA.example.com", "https://a:b@example.com", "https://example", "mfa.example.com", "https://mfa.example.com?x"}},
		{"RpId", []string{"", "acme.example", "localhost", "a-b.xn--p1ai"}, []string{"https://acme.example", "acme.example:443", "Acme.example", "-a.example", "a..example", "acme.example/"}},
		{"SmsProvider", []string{"none", "sns", "end-user-messaging"}, []string{"", "SNS", "twilio"}},
		{"SmsCodeDomain", []string{"", "acme.example", "login.xn--p1ai", "localhost", strings.Repeat("a", 56) + ".example"},
			[]string{"https://acme.example", "acme.example:443", "Acme.example", "acme..example", "acme.example/", "acme example", strings.Repeat("a", 57) + ".example"}},
		{"SmsSenderId", []string{"", "ACME", "A-1", "1a"}, []string{"123456", "Acme & Sons", "ABCDEFGHIJKLMNOPQRSTUV", "-"}},
		{"SmsOriginationNumber", []string{"", "+18005550100"}, []string{"8005550100", "+0123456789", "+1 800 555 0100"}},
		{"SmsOriginationArn", []string{"", originationArn, "arn:aws-us-gov:sms-voice:us-gov-west-1:123456789012:sender-id/ACME/GB"},
			[]string{"*", "+18005550100", "arn:aws:sns:eu-west-1:123456789012:topic", "arn:aws:sms-voice:eu-west-1:123456789012:pool/*"}},
		{"SmsMaxPrice", []string{"", "0.25", "10.0"}, []string{"1", "0,25", "100.00", "a lot"}},
		{"SmsConfigurationSet", []string{"", "mfa_set-1"}, []string{"a b", strings.Repeat("x", 257)}},
		{"SmsProtectConfiguration", []string{"", "protect-0123456789abcdef"}, []string{"a b", "*"}},
		{"EdgeDigests", []string{"", strings.Repeat("a", 64), strings.Repeat("a", 64) + "," + strings.Repeat("0", 64)},
			[]string{"secret", strings.Repeat("A", 64), strings.Repeat("a", 63), strings.Repeat("a", 64) + ",", strings.Repeat(strings.Repeat("a", 64)+",", 2) + strings.Repeat("a", 64)}},
		{"DomainName", []string{"", "mfa.example.com"}, []string{"https://mfa.example.com", "localhost", "MFA.example.com", "mfa.example.com/"}},
		{"CertificateArn", []string{"", "arn:aws:acm:eu-west-1:123456789012:certificate/0a1b-2c"}, []string{"arn:aws:iam::123456789012:server-certificate/x", "*"}},
		{"HostedZoneId", []string{"", "Z0123456789ABC"}, []string{"/hostedzone/Z0123456789ABC", "z012"}},
		{"PermissionsBoundary", []string{"", "arn:aws:iam::123456789012:policy/team/bound", "arn:aws:iam::aws:policy/PowerUserAccess"}, []string{"bound", "arn:aws:iam::123456789012:role/x", "*"}},
		{"FipsEndpoints", []string{"true", "false"}, []string{"yes", "True", ""}},
		{"RelatedOrigins", []string{"", "https://acme.example", "https://acme.example:8443,https://acme.co.uk"},
			[]string{"acme.example", "http://acme.example", "https://acme.example/", "https://acme.example, https://acme.co.uk", "https://acme.example,", "https://localhost"}},
		{"RoutineEvents", []string{"true", "false"}, []string{"yes", "True", ""}},
		{"DefaultEndpoint", []string{"enabled", "disabled"}, []string{"true", ""}},
		{"ReserveConcurrency", []string{"yes", "no"}, []string{"true", ""}},
		{"AlarmAddress", []string{"", "on-call@example.com"}, []string{"on-call", "On Call <on-call@example.com>", "a@b.example,c@d.example", "é@example.com"}},
		{"Tracing", []string{"Active", "PassThrough"}, []string{"", "true", "active"}},
		{"Architecture", []string{"arm64", "x86_64"}, []string{"amd64", ""}},
	} {
		takes := func(value string) bool {
			said := deployed.Parameters[c.parameter]
			if most, ok := said["MaxLength"].(int); ok && len(value) > most {
				return false
			}
			if pattern, ok := said["AllowedPattern"].(string); ok {
				return regexp.MustCompile(`\A(?:` + pattern + `)\z`).MatchString(value)
			}
			return slices.Contains(template.Several(said["AllowedValues"]), value)
		}
		for _, value := range c.good {
			if !takes(value) {
				t.Errorf("%s refuses %q", c.parameter, value)
			}
		}
		for _, value := range c.bad {
			if takes(value) {
				t.Errorf("%s takes %q", c.parameter, value)
			}
		}
	}
}
