package cloud

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"golang.org/x/net/publicsuffix"
)

// Setting reads a setting that must not be missing, and for which good must return true. Otherwise the function logs at its start
// what the setting must be. It never logs the value.
func (d *Deployment) Setting(name, mustBe string, good func(string) bool) string {
	value := d.environment(name)
	switch {
	case value == "":
		d.fault(name, "is missing; it must be "+mustBe)
	case !good(value):
		d.fault(name, "is not "+mustBe)
	}
	return value
}

// Optional reads a setting that may be missing. It returns an empty value then.
func (d *Deployment) Optional(name, mustBe string, good func(string) bool) string {
	if d.environment(name) == "" {
		return ""
	}
	return d.Setting(name, mustBe, good)
}

// fault notes what is wrong with a setting. It notes only the first fault of each setting.
func (d *Deployment) fault(name, what string) {
	for _, f := range d.faults {
		if f.name == name {
			return
		}
	}
	d.faults = append(d.faults, fault{name, what})
}

// A fault says what is wrong with one setting.
type fault struct{ name, what string }

// endpoint reads the URL of what is to be called in the place of one of Amazon's services.
func (d *Deployment) endpoint(name string) string {
	value := d.Optional(name, "an http or https URL of this machine, by its loopback address or as "+dockerHost, localURL)
	if value != "" && !d.onDevelopersMachine() {
		d.fault(name, "is refused: this function doesn't run under the SAM command line on a developer's machine")
		return ""
	}
	return strings.TrimSuffix(value, "/")
}

// onDevelopersMachine reports whether the function runs on a developer's machine, under the SAM command line or a program that
// behaves like it, and not in Lambda. SAM sets a variable that says so. But anyone who may configure a deployed function could
// set that variable too. So the name of the log stream is read as well. Lambda gives every process its own name, which no
// configuration can change. SAM gives the name $LATEST, or none.
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
func (d *Deployment) onDevelopersMachine() bool {
	stream := d.environment("AWS_LAMBDA_LOG_STREAM_NAME")
	return d.environment("AWS_SAM_LOCAL") == "true" && (stream == "" || stream == "$LATEST")
}

// dockerHost is the name that Docker gives, inside a container, to the machine that the container runs on.
const dockerHost = "host.docker.internal"

// credentials reads the credentials that Lambda gives a function.
func (d *Deployment) credentials() aws.Credentials {
	return aws.Credentials{
		AccessKeyID:     d.Setting("AWS_ACCESS_KEY_ID", "an access key id", Word("")),
		SecretAccessKey: d.Setting("AWS_SECRET_ACCESS_KEY", "a secret access key", Word("/+=")),
		SessionToken:    d.Optional("AWS_SESSION_TOKEN", "a session token", Word("/+=-_.")),
	}
}

// clockOffset reads the difference between the service's clock and that of this machine. The clock may be moved only if the table
// is on this machine, because moving it could make valid again what has expired.
func (d *Deployment) clockOffset() time.Duration {
	const name = "COUNTERSIGN_CLOCK_OFFSET"
	value := d.Optional(name, "a whole number of seconds", func(v string) bool {
		_, err := strconv.ParseInt(v, 10, 32)
		return err == nil
	})
	if value == "" {
		return 0
	}
	if d.endpoint("COUNTERSIGN_DYNAMODB_ENDPOINT") == "" {
		d.fault(name, "is refused: the table is not on this machine")
		return 0
	}
	seconds, _ := strconv.ParseInt(value, 10, 32)
	return time.Duration(seconds) * time.Second
}

// localURL reports whether v is the base URL of something on this machine, or on the machine that this container runs on.
func localURL(v string) bool {
	u, ok := serviceURL(v)
	return ok && (loopback(u) || u.Hostname() == dockerHost)
}

// loopbackURL reports whether v is the base URL of something on this machine.
func loopbackURL(v string) bool {
	u, ok := serviceURL(v)
	return ok && loopback(u)
}

// serviceURL reads the base URL of a service.
func serviceURL(v string) (u *url.URL, ok bool) {
	u, err := url.Parse(v)
	return u, err == nil && (u.Scheme == "http" || u.Scheme == "https") && bare(u)
}

// loopback reports whether the host of a URL is a loopback address, which always means this machine. A host name is refused,
// because it can be made to mean another machine.
func loopback(u *url.URL) bool {
	address, err := netip.ParseAddr(u.Hostname())
	return err == nil && address.IsLoopback()
}

// issuerURL reports whether v can be a deployment's base URL: it must be https, or http on the machine that calls it.
func issuerURL(v string) bool {
	u, err := url.Parse(v)
	if err != nil || u.Host == "" || !bare(u) || strings.HasSuffix(v, "/") {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || loopbackURL(v))
}

// bare reports whether a URL consists only of a scheme, a host and a path.
func bare(u *url.URL) bool {
	return u.User == nil && u.RawQuery == "" && !u.ForceQuery && u.Fragment == "" && u.Opaque == ""
}

// Word returns a function that reports whether a value consists of ASCII letters, digits and the characters in more.
func Word(more string) func(string) bool {
	return func(v string) bool {
		return len(v) <= 4096 && !strings.ContainsFunc(v, func(c rune) bool {
			return !('A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.ContainsRune(more, c))
		})
	}
}

// Domain reports whether a value is a domain in lower case.
func Domain(v string) bool {
	for _, label := range strings.Split(v, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || strings.Trim(label, "-") != label {
			return false
		}
	}
	return len(v) <= 253
}

// relatedOrigins reports whether v is a list of origins that browsers accept as related ones. The domains of the list may have at
// most five different names, where a name is the part before the suffix under which anybody can register a domain (Web
// Authentication Level 3, section 5.11.1).
func relatedOrigins(v string) bool {
	names := map[string]bool{}
	for _, origin := range strings.Split(v, ",") {
		u, err := url.Parse(origin)
		if err != nil || u.Scheme != "https" || !bare(u) || u.Path != "" || !Domain(u.Hostname()) {
			return false
		}
		site, err := publicsuffix.EffectiveTLDPlusOne(u.Hostname())
		if err != nil {
			return false
		}
		name, _, _ := strings.Cut(site, ".")
		names[name] = true
	}
	return len(names) <= 5
}

// Line reports whether a value is one line of text, of at most 200 bytes.
func Line(v string) bool {
	return len(v) <= 200 && !strings.ContainsFunc(v, func(c rune) bool { return c < ' ' || c == 0x7f })
}

// Truth reports whether a value is true or false.
func Truth(v string) bool { return v == "true" || v == "false" }
