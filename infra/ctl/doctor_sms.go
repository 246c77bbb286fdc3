package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/pinpointsmsvoicev2"
	voice "github.com/aws/aws-sdk-go-v2/service/pinpointsmsvoicev2/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"countersign/pkg/cloud"
	"countersign/pkg/message"
)

// texting has what the stack of a deployment says about text messages.
type texting struct {
	SMS            string `name:"sms" enum:"none,sns,end-user-messaging" default:"none" placeholder:"PROVIDER" help:"What sends text messages: the parameter SmsProvider of the stack (none, sns or end-user-messaging)."`
	SMSOrigination string `name:"sms-origination" placeholder:"NUMBER|ARN" help:"What text messages are sent from: the parameter SmsOriginationNumber or SmsOriginationArn of the stack."`
	SMSCodeDomain  string `name:"sms-code-domain" placeholder:"DOMAIN" help:"The domain of the pages on which users type codes: the parameter SmsCodeDomain of the stack."`
	SMSSenderID    string `name:"sms-sender-id" placeholder:"ID" help:"The sender ID of text messages: the parameter SmsSenderId of the stack."`
}

// check reports what is wrong with the flags.
func (t texting) check() error {
	switch {
	case t.SMS == "none" && (t.SMSOrigination != "" || t.SMSSenderID != "" || t.SMSCodeDomain != ""):
		return wrongCall("--sms-origination, --sms-sender-id and --sms-code-domain need --sms, the parameter SmsProvider of the stack")
	case t.SMSCodeDomain != "" && !(len(t.SMSCodeDomain) <= message.LongestHost && cloud.Domain(t.SMSCodeDomain)):
		return wrongCall("--sms-code-domain must be a domain in lower case, of at most " + strconv.Itoa(message.LongestHost) + " characters: the parameter SmsCodeDomain of the stack")
	case t.SMS == "end-user-messaging" && !strings.HasPrefix(t.SMSOrigination, "arn:"):
		return wrongCall("--sms end-user-messaging needs --sms-origination, the parameter SmsOriginationArn of the stack")
	case t.SMS == "sns" && t.SMSOrigination != "" && !strings.HasPrefix(t.SMSOrigination, "+"):
		return wrongCall("--sms-origination must be a phone number for --sms sns: the parameter SmsOriginationNumber of the stack")
	}
	return nil
}

// defaultSpendLimit is what a new account may spend on text messages in a month, in USD.
const defaultSpendLimit = 1

// A textDoctor checks whether text messages would be sent. It doesn't send any.
type textDoctor struct {
	sns     *sns.Client
	voice   *pinpointsmsvoicev2.Client // the client of End User Messaging, which also has the sender IDs of SNS
	account account
	texting
	findings
}

func (d *textDoctor) look(ctx context.Context) {
	switch d.SMS {
	case "sns":
		d.lookAtSNS(ctx)
	case "end-user-messaging":
		d.lookAtMessaging(ctx)
	default:
		d.off("text messages", "The parameter SmsProvider is none, so nobody can enrol a phone number.", "")
		return
	}
	if d.SMSSenderID != "" {
		d.lookAtSenderID(ctx, d.SMSSenderID)
	}
	d.lookAtCodeDomain()
}

func (d *textDoctor) console() string {
	return "in the console of AWS End User Messaging, in the region " + d.account.region
}

func (d *textDoctor) sandbox(inSandbox bool) {
	const about = "SMS account"
	if inSandbox {
		d.wrong(about, "It is in the sandbox, so codes reach verified numbers only.", "Request production access "+d.console()+".")
		return
	}
	d.ok(about, "It is out of the sandbox.")
}

// spendLimit reports how much may be spent in a month, in USD.
func (d *textDoctor) spendLimit(limit int64) {
	const about = "SMS spend limit"
	if limit <= defaultSpendLimit {
		d.wrong(about, fmt.Sprintf("It is %d USD a month, as in a new account. After that no message is delivered.", limit),
			"Request an increase of the spend quota, and then set the limit, "+d.console()+".")
		return
	}
	d.ok(about, "It is %d USD a month. After that no message is delivered.", limit)
}

// optedOut reports how many numbers get no messages, as far as the first page of a list shows.
func (d *textDoctor) optedOut(first int, more bool) {
	const about = "opted-out numbers"
	switch {
	case first == 0:
		d.ok(about, "There are none.")
	case more:
		d.ok(about, "There are more than %d, which get no messages.", first)
	default:
		d.ok(about, "There are %d, which get no messages.", first)
	}
}

// lookAtCodeDomain reports on which pages phones offer to fill in codes.
func (d *textDoctor) lookAtCodeDomain() {
	const about = "SMS code domain"
	if d.SMSCodeDomain == "" {
		d.unseen(about, "None is set, so phones offer to fill in codes only on pages of the deployment's own host.",
			"If users type codes on pages of another domain, set the parameter SmsCodeDomain of the stack to it, and give it to doctor as --sms-code-domain.")
		return
	}
	d.ok(about, "Phones offer to fill in codes on pages of %s.", d.SMSCodeDomain)
}

// https://docs.aws.amazon.com/sns/latest/api/API_GetSMSSandboxAccountStatus.html, API_GetSMSAttributes.html,
// API_ListOriginationNumbers.html and API_ListPhoneNumbersOptedOut.html
func (d *textDoctor) lookAtSNS(ctx context.Context) {
	if out, err := d.sns.GetSMSSandboxAccountStatus(ctx, &sns.GetSMSSandboxAccountStatusInput{}); err != nil {
		d.failed("SMS account", err)
	} else {
		d.sandbox(out.IsInSandbox)
	}
	if out, err := d.sns.GetSMSAttributes(ctx, &sns.GetSMSAttributesInput{Attributes: []string{"MonthlySpendLimit"}}); err != nil {
		d.failed("SMS spend limit", err)
	} else {
		limit, err := strconv.ParseInt(out.Attributes["MonthlySpendLimit"], 10, 64)
		if err != nil { // SNS returns no limit if it was never set
			limit = defaultSpendLimit
		}
		d.spendLimit(limit)
	}
	d.lookAtNumber(ctx)
	if out, err := d.sns.ListPhoneNumbersOptedOut(ctx, &sns.ListPhoneNumbersOptedOutInput{}); err != nil {
		d.failed("opted-out numbers", err)
	} else {
		d.optedOut(len(out.PhoneNumbers), out.NextToken != nil)
	}
}

// lookAtNumber looks for the number that SNS sends from.
func (d *textDoctor) lookAtNumber(ctx context.Context) {
	const about = "SMS sender"
	if d.SMSOrigination == "" {
		if d.SMSSenderID == "" {
			d.unseen(about, "Neither a number nor a sender ID is set, so SNS chooses what it sends from.", "Some countries, such as the United States, want a number of your own.")
		}
		return
	}
	pages := sns.NewListOriginationNumbersPaginator(d.sns, &sns.ListOriginationNumbersInput{})
	for pages.HasMorePages() {
		out, err := pages.NextPage(ctx)
		if err != nil {
			d.failed(about, err)
			return
		}
		for _, n := range out.PhoneNumbers {
			if aws.ToString(n.PhoneNumber) == d.SMSOrigination {
				d.active(about, "The number "+d.SMSOrigination, aws.ToString(n.Status))
				return
			}
		}
	}
	d.wrong(about, "The account has no number "+d.SMSOrigination+" in "+d.account.region+".", "Request the number, or change the parameter SmsOriginationNumber of the stack.")
}

// active reports whether the origin of messages may be used.
func (d *textDoctor) active(about, what, status string) {
	if strings.EqualFold(status, "ACTIVE") {
		d.ok(about, "%s is active.", what)
		return
	}
	d.wrong(about, what+" has the status "+status+".", "Complete its registration, "+d.console()+".")
}

// https://docs.aws.amazon.com/pinpoint/latest/apireference_smsvoicev2/API_DescribeAccountAttributes.html,
// API_DescribeSpendLimits.html and API_DescribeOptedOutNumbers.html
func (d *textDoctor) lookAtMessaging(ctx context.Context) {
	if out, err := d.voice.DescribeAccountAttributes(ctx, &pinpointsmsvoicev2.DescribeAccountAttributesInput{}); err != nil {
		d.failed("SMS account", err)
	} else {
		tier := slices.IndexFunc(out.AccountAttributes, func(a voice.AccountAttribute) bool { return a.Name == voice.AccountAttributeNameAccountTier })
		d.sandbox(tier < 0 || aws.ToString(out.AccountAttributes[tier].Value) != "PRODUCTION")
	}
	if out, err := d.voice.DescribeSpendLimits(ctx, &pinpointsmsvoicev2.DescribeSpendLimitsInput{}); err != nil {
		d.failed("SMS spend limit", err)
	} else {
		limit := int64(defaultSpendLimit)
		for _, l := range out.SpendLimits {
			if l.Name == voice.SpendLimitNameTextMessageMonthlySpendLimit {
				limit = l.EnforcedLimit
			}
		}
		d.spendLimit(limit)
	}
	d.lookAtOrigination(ctx)
	out, err := d.voice.DescribeOptedOutNumbers(ctx, &pinpointsmsvoicev2.DescribeOptedOutNumbersInput{OptOutListName: aws.String("Default")})
	switch {
	case refusedBy(err) == "ResourceNotFoundException":
		d.optedOut(0, false)
	case err != nil:
		d.failed("opted-out numbers", err)
	default:
		d.optedOut(len(out.OptedOutNumbers), out.NextToken != nil)
	}
}

// lookAtOrigination looks for the phone number, the sender ID or the pool that End User Messaging sends from.
func (d *textDoctor) lookAtOrigination(ctx context.Context) {
	const about = "SMS sender"
	_, name, _ := strings.Cut(d.SMSOrigination, ":sms-voice:")
	name = name[strings.LastIndexByte(name, ':')+1:] // such as pool/pool-0123
	kind, id, _ := strings.Cut(name, "/")
	var status string
	var err error
	switch kind {
	case "phone-number":
		var out *pinpointsmsvoicev2.DescribePhoneNumbersOutput
		if out, err = d.voice.DescribePhoneNumbers(ctx, &pinpointsmsvoicev2.DescribePhoneNumbersInput{PhoneNumberIds: []string{d.SMSOrigination}}); err == nil && len(out.PhoneNumbers) > 0 {
			status = string(out.PhoneNumbers[0].Status)
		}
	case "pool":
		var out *pinpointsmsvoicev2.DescribePoolsOutput
		if out, err = d.voice.DescribePools(ctx, &pinpointsmsvoicev2.DescribePoolsInput{PoolIds: []string{d.SMSOrigination}}); err == nil && len(out.Pools) > 0 {
			status = string(out.Pools[0].Status)
		}
	default:
		id, _, _ = strings.Cut(id, "/")
		d.lookAtSenderID(ctx, id)
		return
	}
	switch {
	case refusedBy(err) == "ResourceNotFoundException" || err == nil && status == "":
		d.wrong(about, "There is no "+name+" in "+d.account.region+".", "Change the parameter SmsOriginationArn of the stack.")
	case err != nil:
		d.failed(about, err)
	default:
		d.active(about, name, status)
	}
}

// lookAtSenderID looks in which countries a sender ID is registered.
// https://docs.aws.amazon.com/pinpoint/latest/apireference_smsvoicev2/API_DescribeSenderIds.html
func (d *textDoctor) lookAtSenderID(ctx context.Context, id string) {
	const about = "SMS sender ID"
	var registered, waiting []string
	pages := pinpointsmsvoicev2.NewDescribeSenderIdsPaginator(d.voice, &pinpointsmsvoicev2.DescribeSenderIdsInput{})
	for pages.HasMorePages() {
		out, err := pages.NextPage(ctx)
		if err != nil {
			d.failed(about, err)
			return
		}
		for _, s := range out.SenderIds {
			switch country := aws.ToString(s.IsoCountryCode); {
			case !strings.EqualFold(aws.ToString(s.SenderId), id):
			case s.Registered:
				registered = append(registered, country)
			case s.RegistrationId != nil:
				waiting = append(waiting, country)
			}
		}
	}
	slices.Sort(registered)
	slices.Sort(waiting)
	switch {
	case len(waiting) > 0:
		d.wrong(about, "The registration of "+id+" is not complete in "+strings.Join(waiting, ", ")+".", "Complete it, "+d.console()+".")
	case len(registered) > 0:
		d.ok(about, "%s is registered in %s.", id, strings.Join(registered, ", "))
	default:
		d.unseen(about, id+" is registered in no country.", "Some countries deliver no message from a sender ID that isn't registered there.")
	}
}
