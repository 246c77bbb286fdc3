package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"
)

// A mailDoctor checks whether SES would send the messages of the deployment. It doesn't send any.
type mailDoctor struct {
	client    *sesv2.Client
	account   account
	sender    string
	set       string // the configuration set with which messages are sent; empty for the default one of the identity
	lookUpTXT func(ctx context.Context, name string) ([]string, error)
	findings

	engagement types.FeatureStatus // whether SES measures in the whole account who opens messages (Virtual Deliverability Manager)
}

func (d *mailDoctor) look(ctx context.Context) {
	d.lookAtAccount(ctx)
	found := d.lookAtSender(ctx)
	if len(found) == 0 {
		return
	}
	d.lookAtSignature(found)
	d.lookAtMailFrom(found[0])
	d.lookAtPolicy(ctx)
	set := d.set
	if set == "" {
		set = aws.ToString(found[0].ConfigurationSetName)
	}
	d.lookAtSet(ctx, set)
}

// lookAtAccount checks whether SES lets the account send, and to whom.
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
	d.lookAtQuota(out.SendQuota)
	if v := out.VdmAttributes; v != nil && v.DashboardAttributes != nil {
		d.engagement = v.DashboardAttributes.EngagementMetrics
	}
}

// nearQuota is the part of the quota from which on there may soon be no room for codes.
const nearQuota = 0.8

// lookAtQuota checks how many messages the account has sent in the last 24 hours.
func (d *mailDoctor) lookAtQuota(quota *types.SendQuota) {
	const about = "SES quota"
	switch {
	case quota == nil:
		d.unseen(about, "SES doesn't say it.", "")
	case quota.Max24HourSend < 0:
		d.ok(about, "%.0f messages were sent in the last 24 hours, and there is no limit.", quota.SentLast24Hours)
	case quota.SentLast24Hours > nearQuota*quota.Max24HourSend:
		d.wrong(about, fmt.Sprintf("%.0f of at most %.0f messages were sent in the last 24 hours. Above that, SES refuses codes.", quota.SentLast24Hours, quota.Max24HourSend),
			"Ask for a higher sending quota of SES in the console of Service Quotas, region "+d.account.region+".")
	default:
		d.ok(about, "%.0f of at most %.0f messages were sent in the last 24 hours, and there can be %.0f in a second.", quota.SentLast24Hours, quota.Max24HourSend, quota.MaxSendRate)
	}
}

// lookAtSender looks for the identities by which the deployment may send: its address, the domain of that, and the parent
// domains. It returns those that are verified, the nearest first. If it has found a problem, it returns none.
// https://docs.aws.amazon.com/ses/latest/dg/creating-identities.html
func (d *mailDoctor) lookAtSender(ctx context.Context) (found []*sesv2.GetEmailIdentityOutput) {
	const about = "sender"
	var verified, waiting string
	for _, identity := range identities(d.sender) {
		out, err := d.client.GetEmailIdentity(ctx, &sesv2.GetEmailIdentityInput{EmailIdentity: &identity})
		switch {
		case refusedBy(err) == "NotFoundException":
			continue
		case err != nil:
			d.failed(about, err)
			return nil
		case out.VerifiedForSendingStatus:
			found = append(found, out)
			verified = cmp.Or(verified, identity)
		default:
			waiting = cmp.Or(waiting, identity)
		}
	}
	switch {
	case verified != "":
		d.ok(about, "The identity %s is verified.", verified)
	case waiting != "":
		d.wrong(about, "The identity "+waiting+" is not verified yet.", "Publish the DNS records that SES asks for, or follow the link in its email. To see what is missing: aws sesv2 get-email-identity --email-identity "+
			quoted(waiting)+" --region "+d.account.region)
	default:
		d.wrong(about, "Neither "+d.sender+" nor its domain is an identity of SES in "+d.account.region+".",
			"To make one: aws sesv2 create-email-identity --email-identity "+quoted(d.sender)+" --region "+d.account.region)
	}
	return found
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
