package main

import (
	"context"
	"fmt"
	"net/mail"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/pinpointsmsvoicev2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sns"
)

type doctor struct {
	Sender string `placeholder:"ADDRESS" help:"The address from which the deployment sends: the parameter SenderAddress of its stack. It is required, except with --local and --endpoint."`
	Set    string `name:"ses-configuration-set" placeholder:"NAME" help:"The SES configuration set that messages are sent with: the parameter SesConfigurationSet of the stack or, if the stack makes its own, countersign- and the stage. By default, it is that of the sender's identity."`
	RpID   string `name:"rp-id" placeholder:"DOMAIN" help:"The RP ID of security keys and passkeys: the parameter RpId of the stack."`
	texting
}

// Run checks everything, and prints what it has found.
func (d *doctor) Run(ctx context.Context, p *program, where place) error {
	amazon := where.Local == "" && where.Endpoint == ""
	switch address, err := mail.ParseAddress(d.Sender); {
	case amazon && (err != nil || address.Address != d.Sender):
		return wrongCall("--sender must be the address that the deployment sends from: the parameter SenderAddress of its stack")
	case !amazon && d.Sender != "":
		return wrongCall("--sender is only for a deployment at Amazon, because nothing else sends messages")
	case !amazon && (d.RpID != "" || d.SMS != "none" || d.Set != ""):
		return wrongCall("--rp-id, --sms and --ses-configuration-set are only for a deployment at Amazon, because they say what its stack does")
	}
	if where.Local != "" {
		return lookAtFolder(ctx, where.Local, p.now).tell(p)
	}
	if err := d.check(); err != nil {
		return err
	}
	found, err := lookAtDeployment(ctx, p, where, d)
	if err != nil {
		return err
	}
	return found.tell(p)
}

// A finding is what doctor has found about one part of a deployment.
type finding struct {
	verdict verdict
	about   string // the part
	what    string // a sentence about its state
	do      string // what to do about it, as a sentence or a command; empty if there is nothing to do
}

// A diagnosis is what doctor has found, as JSON.
type diagnosis struct {
	Findings []diagnosed `json:"findings"`
	Problems int         `json:"problems"` // how many findings are wrong
}

// A diagnosed is a finding as JSON.
type diagnosed struct {
	Verdict verdict `json:"verdict"` // ok, WRONG, unseen or off
	About   string  `json:"about"`
	What    string  `json:"what"`
	Do      string  `json:"do,omitempty"`
}

type verdict string

const (
	well   verdict = "ok"
	wrong  verdict = "WRONG"
	unseen verdict = "unseen" // the part can't be checked there
	off    verdict = "off"    // the deployment doesn't use the part
)

// findings has the findings in the order in which they are printed.
type findings []finding

func (f *findings) ok(about, format string, args ...any) {
	*f = append(*f, finding{verdict: well, about: about, what: fmt.Sprintf(format, args...)})
}

func (f *findings) wrong(about, what, do string) {
	*f = append(*f, finding{wrong, about, what, do})
}

func (f *findings) unseen(about, what, do string) {
	*f = append(*f, finding{unseen, about, what, do})
}

func (f *findings) off(about, what, do string) {
	*f = append(*f, finding{off, about, what, do})
}

// failed records that a part could not be checked because of an error.
func (f *findings) failed(about string, err error) {
	f.wrong(about, "It could not be checked: "+explain(err), "Solve that problem, and run doctor again.")
}

// tell prints the findings. It returns errFound if there is a problem.
func (f findings) tell(p *program) error {
	var text strings.Builder
	count, all := 0, diagnosis{Findings: []diagnosed{}}
	for _, one := range f {
		all.Findings = append(all.Findings, diagnosed{one.verdict, one.about, one.what, one.do})
		if one.verdict == wrong {
			count++
		}
		fmt.Fprintf(&text, "%-7s %s: %s\n", one.verdict, one.about, one.what)
		if one.do != "" {
			fmt.Fprintf(&text, "        %s\n", one.do)
		}
	}
	switch count {
	case 0:
		fmt.Fprintln(&text, "\nNo problem was found.")
	case 1:
		fmt.Fprintln(&text, "\nOne problem was found.")
	default:
		fmt.Fprintf(&text, "\n%d problems were found.\n", count)
	}
	all.Problems = count
	if err := p.say(all, "%s", text.String()); err != nil {
		return err
	}
	if count > 0 {
		return errFound
	}
	return nil
}

// lookAtDeployment looks at the table and its items and, for a deployment at Amazon, at what sends its messages.
func lookAtDeployment(ctx context.Context, p *program, where place, d *doctor) (findings, error) {
	client, err := where.client(p)
	if err != nil {
		return nil, err
	}
	t := &tableDoctor{client: client, name: where.Table, local: where.Endpoint != ""}
	if !t.look(ctx) {
		return t.findings, nil // there is nothing else to look at
	}
	c := &contentDoctor{store: where.store(client, p), now: p.now(), played: where.Endpoint != "", findings: t.findings}
	c.lookAtRing(ctx)
	c.lookAtKeys(ctx)
	c.lookAtSweep(ctx)
	if where.Endpoint != "" {
		c.unseen("email", "A deployment on this machine sends no email.", "")
		return c.findings, nil
	}
	account, err := where.account(p)
	if err != nil {
		return nil, err
	}
	m := &mailDoctor{
		client: sesv2.NewFromConfig(account.config(p)), account: account, sender: d.Sender, set: d.Set, lookUpTXT: p.lookUpTXT, findings: c.findings,
	}
	m.look(ctx)
	texts := &textDoctor{
		sns: sns.NewFromConfig(account.config(p)), voice: pinpointsmsvoicev2.NewFromConfig(account.config(p)), account: account,
		texting: d.texting, findings: m.findings,
	}
	texts.look(ctx)
	texts.lookAtRpID(d.RpID)
	return texts.findings, nil
}

// lookAtRpID reports whether security keys and passkeys are offered.
func (f *findings) lookAtRpID(rpID string) {
	const about = "security keys and passkeys"
	if rpID == "" {
		f.off(about, "They are not offered, because no RP ID is set.", "To offer them, set the parameter RpId of the stack to the domain of your pages, and give it to doctor as --rp-id.")
		return
	}
	f.ok(about, "They are offered on pages of %s and of the domains below it.", rpID)
}
