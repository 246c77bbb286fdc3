package main

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
)

// A mailDoctor looks at whether SES would send what the deployment gives it. It sends nothing itself.
type mailDoctor struct {
	client  *sesv2.Client
	account account
	sender  string
	findings
}

func newSES(a account, p *program) *sesv2.Client {
	options := sesv2.Options{Region: a.region, Credentials: a}
	if p.amazon != nil {
		options.HTTPClient = p.amazon
	}
	return sesv2.New(options)
}

func (d *mailDoctor) look(ctx context.Context) {
	d.lookAtAccount(ctx)
	d.lookAtSender(ctx)
}

// https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_GetAccount.html
func (d *mailDoctor) lookAtAccount(ctx context.Context) {
	const about = "SES account"
	out, err := d.client.GetAccount(ctx, &sesv2.GetAccountInput{})
	if err != nil {
		d.failed(about, err)
		return
	}
	console := "in SES's console, region " + d.account.region
	enforcement := aws.ToString(out.EnforcementStatus)
	switch {
	case !out.SendingEnabled || enforcement == "SHUTDOWN":
		d.wrong(about, "its sending is paused, so no code arrives", "see the account's status "+console)
	case !out.ProductionAccessEnabled:
		d.wrong(about, "it is in the sandbox, so codes reach verified addresses only", "request production access "+console+" (Account dashboard)")
	case enforcement == "PROBATION":
		d.wrong(about, "it is under review, and may be paused", "see the account's status "+console)
	default:
		d.ok(about, "out of the sandbox, and sends")
	}
}

// lookAtSender looks for the identity that lets the sender send: its address, its domain, or a domain above that.
// https://docs.aws.amazon.com/ses/latest/dg/creating-identities.html
func (d *mailDoctor) lookAtSender(ctx context.Context) {
	const about = "sender"
	var waiting string
	for _, identity := range identities(d.sender) {
		out, err := d.client.GetEmailIdentity(ctx, &sesv2.GetEmailIdentityInput{EmailIdentity: &identity})
		switch {
		case refusedBy(err) == "NotFoundException":
			continue
		case err != nil:
			d.failed(about, err)
			return
		case out.VerifiedForSendingStatus:
			d.ok(about, "%s is verified", identity)
			return
		case waiting == "":
			waiting = identity
		}
	}
	if waiting != "" {
		d.wrong(about, waiting+" is not verified yet", "do what SES asks for: publish its DNS records, or follow the link in its email; see aws sesv2 get-email-identity --email-identity "+
			quoted(waiting)+" --region "+d.account.region)
		return
	}
	d.wrong(about, d.sender+" is no identity of SES in "+d.account.region+", nor is its domain",
		"aws sesv2 create-email-identity --email-identity "+quoted(d.sender)+" --region "+d.account.region)
}

func identities(address string) []string {
	all := []string{address}
	domain := address[strings.LastIndexByte(address, '@')+1:]
	for strings.Contains(domain, ".") {
		all = append(all, domain)
		_, domain, _ = strings.Cut(domain, ".")
	}
	return all
}
