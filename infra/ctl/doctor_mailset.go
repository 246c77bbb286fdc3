package main

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"
)

// lookAtSignature checks whether messages are signed with the domain of the sender (DKIM), so that they pass DMARC.
// https://docs.aws.amazon.com/ses/latest/dg/send-email-authentication-dmarc.html
func (d *mailDoctor) lookAtSignature(found []*sesv2.GetEmailIdentityOutput) {
	const about = "DKIM"
	for _, identity := range found {
		if k := identity.DkimAttributes; k != nil && k.SigningEnabled && k.Status == types.DkimStatusSuccess {
			d.ok(about, "Messages are signed with the domain of the sender, so they pass DMARC.")
			return
		}
	}
	domain := d.domain()
	d.wrong(about, "Messages are not signed with the domain of the sender, so they don't pass DMARC by DKIM, and mailboxes may refuse them.",
		"Make the domain an identity, and publish the DNS records that SES asks for. To see them: aws sesv2 get-email-identity --email-identity "+quoted(domain)+" --region "+d.account.region)
}

// lookAtMailFrom checks whether bounces go to a domain of the sender (MAIL FROM), so that messages pass DMARC by SPF, too.
// https://docs.aws.amazon.com/ses/latest/dg/mail-from.html
func (d *mailDoctor) lookAtMailFrom(identity *sesv2.GetEmailIdentityOutput) {
	const about = "MAIL FROM"
	m := identity.MailFromAttributes
	switch {
	case m == nil || aws.ToString(m.MailFromDomain) == "":
		d.off(about, "It is a domain of Amazon, so messages pass DMARC by DKIM only.", "To have SPF too, give the identity a custom MAIL FROM domain.")
	case m.MailFromDomainStatus == types.MailFromDomainStatusSuccess:
		d.ok(about, "It is %s, so messages pass DMARC by SPF too.", *m.MailFromDomain)
	default:
		d.wrong(about, "The domain "+*m.MailFromDomain+" lacks its MX record.", "Publish the MX and TXT records that SES asks for in the console, region "+d.account.region+".")
	}
}

// lookAtPolicy looks for the DMARC policy of the sender's domain or of a domain above it (RFC 7489 section 6.6.3).
func (d *mailDoctor) lookAtPolicy(ctx context.Context) {
	const about = "DMARC"
	for _, domain := range identities(d.sender)[1:] {
		records, err := d.lookUpTXT(ctx, "_dmarc."+domain)
		if missing, ok := errors.AsType[*net.DNSError](err); ok && missing.IsNotFound {
			continue
		}
		if err != nil {
			d.unseen(about, "The DNS can't be asked from here.", "")
			return
		}
		if slices.ContainsFunc(records, func(r string) bool { return strings.HasPrefix(r, "v=DMARC1") }) {
			d.ok(about, "%s has a policy.", domain)
			return
		}
	}
	domain := d.domain()
	d.off(about, "Neither "+domain+" nor a domain above it has a policy, which large mailbox providers ask for.",
		"Publish a TXT record of _dmarc."+domain+", such as: v=DMARC1; p=none")
}

// domain returns the domain of the sender.
func (d *mailDoctor) domain() string { return d.sender[strings.LastIndexByte(d.sender, '@')+1:] }

// lookAtSet checks whether the configuration set with which messages are sent reports messages that come back, and tracks
// nothing.
// https://docs.aws.amazon.com/ses/latest/dg/monitor-using-event-publishing.html
func (d *mailDoctor) lookAtSet(ctx context.Context, name string) {
	const about = "SES configuration set"
	if name == "" {
		d.off(about, "Messages are sent without one, so codes are also sent to addresses that messages come back from.",
			"Deploy with the parameter MakeSesConfigurationSet=yes, and give doctor the name of the set as --ses-configuration-set.")
		return
	}
	set, err := d.client.GetConfigurationSet(ctx, &sesv2.GetConfigurationSetInput{ConfigurationSetName: &name})
	switch {
	case refusedBy(err) == "NotFoundException":
		d.wrong(about, "There is no set "+name+" in "+d.account.region+", so SES refuses all messages that are sent with it.", "Make it, or deploy again.")
		return
	case err != nil:
		d.failed(about, err)
		return
	}
	told, err := d.client.GetConfigurationSetEventDestinations(ctx, &sesv2.GetConfigurationSetEventDestinationsInput{ConfigurationSetName: &name})
	if err != nil {
		d.failed(about, err)
		return
	}
	console := "in the console of SES, region " + d.account.region
	switch {
	case set.SendingOptions != nil && !set.SendingOptions.SendingEnabled:
		d.wrong(about, "Sending with the set "+name+" is paused, so no code arrives.", "Enable it "+console+".")
	case d.tracks(set, told.EventDestinations):
		d.wrong(about, "Opens or clicks of messages are tracked, which changes codes and notices, and tells of users what nobody needs to know.",
			"Remove the events OPEN and CLICK from the destinations of the set "+name+", and disable engagement tracking, "+console+".")
	case !hears(told.EventDestinations):
		d.wrong(about, "The set "+name+" doesn't tell EventBridge which messages come back, so codes are also sent there.",
			"Give it a destination for bounces and complaints: the default event bus of EventBridge.")
	default:
		d.ok(about, "%s tells which messages come back, and tracks nothing.", name)
	}
}

// tracks reports whether messages that are sent with a set are tracked.
func (d *mailDoctor) tracks(set *sesv2.GetConfigurationSetOutput, destinations []types.EventDestination) bool {
	engagement := d.engagement
	if v := set.VdmOptions; v != nil && v.DashboardOptions != nil && v.DashboardOptions.EngagementMetrics != "" {
		engagement = v.DashboardOptions.EngagementMetrics // the setting of the set, which takes precedence over that of the account
	}
	return engagement == types.FeatureStatusEnabled || slices.ContainsFunc(destinations, func(e types.EventDestination) bool {
		return e.Enabled && (slices.Contains(e.MatchingEventTypes, types.EventTypeOpen) || slices.Contains(e.MatchingEventTypes, types.EventTypeClick))
	})
}

// hears reports whether bounces and complaints are sent to EventBridge.
func hears(destinations []types.EventDestination) bool {
	told := func(event types.EventType) bool {
		return slices.ContainsFunc(destinations, func(e types.EventDestination) bool {
			return e.Enabled && e.EventBridgeDestination != nil && slices.Contains(e.MatchingEventTypes, event)
		})
	}
	return told(types.EventTypeBounce) && told(types.EventTypeComplaint)
}
