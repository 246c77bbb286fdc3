package main

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
)

// A mailDoctor looks at whether SES would send the messages of the deployment. It sends nothing itself.
type mailDoctor struct {
	client  *sesv2.Client
	account account
	sender  string
	findings
}

func (d *mailDoctor) look(ctx context.Context) {
	d.lookAtAccount(ctx)
	d.lookAtSender(ctx)
}

// lookAtAccount looks at whether SES lets the account send, and to whom.
// https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_GetAccount.html
func (d *mailDoctor) lookAtAccount(ctx context.Context) {
	const about = "SES account"
	out, err := d.client.GetAccount(ctx, &sesv2.GetAccountInput{})
	if err != nil {
		d.failed(about, err)
		return
	}
	console := "in the console of SES, region " + d.account.region
	enforcement := aws.ToString(out.EnforcementStatus)
	switch {
	case !out.SendingEnabled || enforcement == "SHUTDOWN":
		d.wrong(about, "Sending is paused, so no code arrives.", "See the status of the account "+console+".")
	case !out.ProductionAccessEnabled:
		d.wrong(about, "The account is in the sandbox, so codes reach only addresses that are verified in SES.", "Request production access "+console+" (Account dashboard).")
	case enforcement == "PROBATION":
		d.wrong(about, "The account is under review, and SES may pause it.", "See the status of the account "+console+".")
	default:
		d.ok(about, "It is out of the sandbox, and can send.")
	}
}

// lookAtSender looks for the identity by which the deployment may send: its address, the domain of that, or a parent domain.
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
			d.ok(about, "The identity %s is verified.", identity)
			return
		case waiting == "":
			waiting = identity
		}
	}
	if waiting != "" {
		d.wrong(about, "The identity "+waiting+" is not verified yet.", "Publish the DNS records that SES asks for, or follow the link in its email. To see what is missing: aws sesv2 get-email-identity --email-identity "+
			quoted(waiting)+" --region "+d.account.region)
		return
	}
	d.wrong(about, "Neither "+d.sender+" nor its domain is an identity of SES in "+d.account.region+".",
		"To make one: aws sesv2 create-email-identity --email-identity "+quoted(d.sender)+" --region "+d.account.region)
}

// identities returns the identities that could let address send: the address, its domain, and the parent domains.
func identities(address string) []string {
	all := []string{address}
	domain := address[strings.LastIndexByte(address, '@')+1:]
	for strings.Contains(domain, ".") {
		all = append(all, domain)
		_, domain, _ = strings.Cut(domain, ".")
	}
	return all
}
