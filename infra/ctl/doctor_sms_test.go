package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const (
	number    = "+447400123456"
	phoneARN  = "arn:aws:sms-voice:eu-west-1:123456789012:phone-number/phone-0123"
	poolARN   = "arn:aws:sms-voice:eu-west-1:123456789012:pool/pool-0123"
	senderARN = "arn:aws:sms-voice:eu-west-1:123456789012:sender-id/ACME/GB"
)

// snsSays returns an answer of SNS.
func snsSays(operation, result string) string {
	return fmt.Sprintf(`<%sResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><%[1]sResult>%s</%[1]sResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></%[1]sResponse>`, operation, result)
}

func sandboxed(in bool) string {
	return snsSays("GetSMSSandboxAccountStatus", fmt.Sprintf("<IsInSandbox>%t</IsInSandbox>", in))
}

func limited(to string) string {
	return snsSays("GetSMSAttributes", "<attributes><entry><key>MonthlySpendLimit</key><value>"+to+"</value></entry></attributes>")
}

func numbers(status string) string {
	return snsSays("ListOriginationNumbers", "<PhoneNumbers><member><PhoneNumber>"+number+"</PhoneNumber><Status>"+status+"</Status></member></PhoneNumbers>")
}

func tier(of string) string {
	return `{"AccountAttributes":[{"Name":"DEFAULT_PROTECT_CONFIGURATION_ID","Value":"protect-1"},{"Name":"ACCOUNT_TIER","Value":"` + of + `"}]}`
}

func spend(limit int) string {
	return fmt.Sprintf(`{"SpendLimits":[{"Name":"VOICE_MESSAGE_MONTHLY_SPEND_LIMIT","EnforcedLimit":7,"MaxLimit":9,"Overridden":true},`+
		`{"Name":"TEXT_MESSAGE_MONTHLY_SPEND_LIMIT","EnforcedLimit":%d,"MaxLimit":500,"Overridden":true}]}`, limit)
}

// senderIDs returns an answer that has one sender ID of the account.
func senderIDs(country string, registered bool, registration string) string {
	more := ""
	if registration != "" {
		more = `,"RegistrationId":"` + registration + `"`
	}
	return fmt.Sprintf(`{"SenderIds":[{"SenderId":"acme","IsoCountryCode":%q,"Registered":%t%s},{"SenderId":"OTHER","IsoCountryCode":"IN","Registered":true}]}`, country, registered, more)
}

// newTextingPatient makes a deployment that sends text messages, in which nothing is wrong.
func newTextingPatient(t *testing.T) *patient {
	p := newPatient(t)
	p.tell("GetSMSSandboxAccountStatus", 200, sandboxed(false))
	p.tell("GetSMSAttributes", 200, limited("50"))
	p.tell("ListOriginationNumbers", 200, numbers("Active"))
	p.tell("ListPhoneNumbersOptedOut", 200, snsSays("ListPhoneNumbersOptedOut", "<phoneNumbers/>"))
	p.tell("DescribeAccountAttributes", 200, tier("PRODUCTION"))
	p.tell("DescribeSpendLimits", 200, spend(50))
	p.tell("DescribePhoneNumbers", 200, `{"PhoneNumbers":[{"PhoneNumber":"`+number+`","Status":"ACTIVE"}]}`)
	p.tell("DescribePools", 200, `{"Pools":[{"PoolId":"pool-0123","Status":"ACTIVE"}]}`)
	p.tell("DescribeSenderIds", 200, senderIDs("GB", true, "registration-1"))
	p.tell("DescribeOptedOutNumbers", 200, `{"OptedOutNumbers":[]}`)
	return p
}

// doctorOf runs doctor on a deployment, with flags that have what its stack says.
func (p *patient) doctorOf(t *testing.T, flags ...string) int {
	t.Helper()
	return p.run(t, append([]string{"doctor", "--table", p.table, "--region", "eu-west-1", "--sender", "codes@mail.example.com"}, flags...)...)
}

// These are the flags of a deployment, by provider and by the origin of its messages.
var (
	bySNS    = []string{"--sms", "sns", "--sms-origination", number, "--sms-sender-id", "ACME"}
	byPhone  = []string{"--sms", "end-user-messaging", "--sms-origination", phoneARN}
	byPool   = []string{"--sms", "end-user-messaging", "--sms-origination", poolARN}
	bySender = []string{"--sms", "end-user-messaging", "--sms-origination", senderARN}
)

func TestDoctorFindsNothingWrongWithTextMessagesWhereNothingIs(t *testing.T) {
	p := newTextingPatient(t)
	for name, test := range map[string]struct {
		flags []string
		says  []string
	}{
		"SNS":          {bySNS, []string{"ok      SMS account: ", "ok      SMS spend limit: It is 50 USD", "ok      SMS sender: The number " + number, "ok      SMS sender ID: ACME is registered in GB.", "ok      opted-out numbers: There are none."}},
		"SNS alone":    {[]string{"--sms", "sns"}, []string{"unseen  SMS sender: Neither a number nor a sender ID is set"}},
		"a phone":      {byPhone, []string{"ok      SMS account: ", "ok      SMS spend limit: It is 50 USD", "ok      SMS sender: phone-number/phone-0123 is active.", "ok      opted-out numbers: There are none."}},
		"a pool":       {byPool, []string{"ok      SMS sender: pool/pool-0123 is active."}},
		"a sender ID":  {bySender, []string{"ok      SMS sender ID: ACME is registered in GB."}},
		"own domain":   {append(bySNS, "--sms-code-domain", "acme.example"), []string{"ok      SMS code domain: Phones offer to fill in codes on pages of acme.example."}},
		"own host":     {bySNS, []string{"unseen  SMS code domain: None is set"}},
		"none":         {nil, []string{"off     text messages: ", "off     security keys and passkeys: "}},
		"with an RpId": {[]string{"--rp-id", "acme.example"}, []string{"ok      security keys and passkeys: They are offered on pages of acme.example"}},
	} {
		if code := p.doctorOf(t, test.flags...); code != 0 {
			t.Errorf("%s: got %d and\n%s%s, want 0", name, code, p.said, p.told)
		}
		for _, says := range test.says {
			if !strings.Contains(p.said, says) {
				t.Errorf("%s: got\n%s, want %q", name, p.said, says)
			}
		}
	}
}

func TestDoctorFindsWhatIsWrongWithTextMessages(t *testing.T) {
	const denied = `{"__type":"AccessDeniedException","message":"not you"}`
	const deniedBySNS = `<ErrorResponse><Error><Type>Sender</Type><Code>AuthorizationError</Code><Message>not you</Message></Error></ErrorResponse>`
	for name, test := range map[string]struct {
		flags     []string
		operation string
		status    int
		body      string
		want      string // what is wrong
		says      string
	}{
		"the sandbox of SNS":          {bySNS, "GetSMSSandboxAccountStatus", 200, sandboxed(true), "SMS account", "production access"},
		"SNS unknown":                 {bySNS, "GetSMSSandboxAccountStatus", 403, deniedBySNS, "SMS account", "AuthorizationError"},
		"a low limit":                 {bySNS, "GetSMSAttributes", 200, limited("1"), "SMS spend limit", "It is 1 USD"},
		"no limit that anybody set":   {bySNS, "GetSMSAttributes", 200, snsSays("GetSMSAttributes", "<attributes/>"), "SMS spend limit", "It is 1 USD"},
		"the limit unknown":           {bySNS, "GetSMSAttributes", 403, deniedBySNS, "SMS spend limit", "AuthorizationError"},
		"no such number":              {bySNS, "ListOriginationNumbers", 200, snsSays("ListOriginationNumbers", "<PhoneNumbers/>"), "SMS sender", "has no number"},
		"a number under way":          {bySNS, "ListOriginationNumbers", 200, numbers("Pending"), "SMS sender", "Pending"},
		"numbers unknown":             {bySNS, "ListOriginationNumbers", 403, deniedBySNS, "SMS sender", "AuthorizationError"},
		"opt-outs unknown":            {bySNS, "ListPhoneNumbersOptedOut", 403, deniedBySNS, "opted-out numbers", "AuthorizationError"},
		"a registration under way":    {bySNS, "DescribeSenderIds", 200, senderIDs("GB", false, "registration-1"), "SMS sender ID", "not complete in GB"},
		"sender IDs unknown":          {bySNS, "DescribeSenderIds", 400, denied, "SMS sender ID", "administrator"},
		"the sandbox":                 {byPhone, "DescribeAccountAttributes", 200, tier("SANDBOX"), "SMS account", "production access"},
		"no tier":                     {byPhone, "DescribeAccountAttributes", 200, `{"AccountAttributes":[]}`, "SMS account", "sandbox"},
		"the account unknown":         {byPhone, "DescribeAccountAttributes", 400, denied, "SMS account", "administrator"},
		"a low limit of the account":  {byPhone, "DescribeSpendLimits", 200, spend(1), "SMS spend limit", "It is 1 USD"},
		"the account's limit unknown": {byPhone, "DescribeSpendLimits", 400, denied, "SMS spend limit", "administrator"},
		"no such phone":               {byPhone, "DescribePhoneNumbers", 400, `{"__type":"ResourceNotFoundException"}`, "SMS sender", "There is no phone-number/phone-0123"},
		"a phone under way":           {byPhone, "DescribePhoneNumbers", 200, `{"PhoneNumbers":[{"Status":"PENDING"}]}`, "SMS sender", "PENDING"},
		"phones unknown":              {byPhone, "DescribePhoneNumbers", 400, denied, "SMS sender", "administrator"},
		"no such pool":                {byPool, "DescribePools", 200, `{"Pools":[]}`, "SMS sender", "There is no pool/pool-0123"},
		"a pool under way":            {byPool, "DescribePools", 200, `{"Pools":[{"Status":"CREATING"}]}`, "SMS sender", "CREATING"},
		"a sender ID under way":       {bySender, "DescribeSenderIds", 200, senderIDs("GB", false, "registration-1"), "SMS sender ID", "not complete in GB"},
		"the list of opt-outs denied": {byPhone, "DescribeOptedOutNumbers", 400, denied, "opted-out numbers", "administrator"},
	} {
		p := newTextingPatient(t)
		p.tell(test.operation, test.status, test.body)
		if code := p.doctorOf(t, test.flags...); code != 1 || !slices.Equal(wrongs(p.said), []string{test.want}) || !strings.Contains(p.said, test.says) {
			t.Errorf("%s: got %d and\n%s%s, want 1 and only %s, with %q", name, code, p.said, p.told, test.want, test.says)
		}
		if strings.Contains(p.said, "not you") {
			t.Errorf("%s: Amazon's own text is in\n%s", name, p.said)
		}
	}
}

func TestDoctorTellsOfOptOutsAndOfSenderIDsThatNeedNoRegistration(t *testing.T) {
	p := newTextingPatient(t)
	p.tell("ListPhoneNumbersOptedOut", 200, snsSays("ListPhoneNumbersOptedOut", "<phoneNumbers><member>"+number+"</member></phoneNumbers><nextToken>x</nextToken>"))
	p.tell("DescribeOptedOutNumbers", 200, `{"OptedOutNumbers":[{"OptedOutNumber":"`+number+`"},{"OptedOutNumber":"+447400123457"}]}`)
	p.tell("DescribeSenderIds", 200, senderIDs("FR", false, ""))
	p.doctorOf(t, bySNS...)
	for _, says := range []string{"ok      opted-out numbers: There are more than 1, which get no messages.", "unseen  SMS sender ID: ACME is registered in no country."} {
		if !strings.Contains(p.said, says) {
			t.Errorf("got\n%s, want %q", p.said, says)
		}
	}
	p.doctorOf(t, byPhone...)
	if !strings.Contains(p.said, "ok      opted-out numbers: There are 2, which get no messages.") || strings.Contains(p.said, number) {
		t.Errorf("got\n%s, want two, and no number of anybody's", p.said)
	}
	p.tell("DescribeOptedOutNumbers", 400, `{"__type":"ResourceNotFoundException"}`)
	if p.doctorOf(t, byPhone...); !strings.Contains(p.said, "ok      opted-out numbers: There are none.") {
		t.Errorf("without a list: got\n%s", p.said)
	}
}

func TestDoctorRefusesFlagsThatDoNotGoTogether(t *testing.T) {
	p := newTextingPatient(t)
	for _, flags := range [][]string{
		{"--sms-origination", number}, {"--sms-sender-id", "ACME"}, {"--sms", "end-user-messaging"}, {"--sms", "end-user-messaging", "--sms-origination", number},
		{"--sms", "sns", "--sms-origination", poolARN}, {"--sms", "twilio"},
		{"--sms-code-domain", "acme.example"}, append(bySNS, "--sms-code-domain", "https://acme.example"), append(bySNS, "--sms-code-domain", strings.Repeat("a", 57)+".example"),
	} {
		if code := p.doctorOf(t, flags...); code != 2 {
			t.Errorf("%v: got %d and %s%s, want 2", flags, code, p.said, p.told)
		}
	}
	for _, flags := range [][]string{{"--rp-id", "acme.example"}, {"--sms", "sns"}} {
		if code := p.run(t, append([]string{"doctor", "--table", p.table, "--endpoint", p.endpoint}, flags...)...); code != 2 {
			t.Errorf("on this machine, %v: got %d and %s%s, want 2", flags, code, p.said, p.told)
		}
	}
}
