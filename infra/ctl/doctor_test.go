package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"countersign/pkg/apikey"
	"countersign/pkg/cloud/keyring"
	"countersign/pkg/mfa"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/dynamo"
	"countersign/pkg/store/record"
)

// oneRing is a keeper that always has the same ring.
type oneRing struct{ ring *seal.Ring }

func (o oneRing) Ring(context.Context) (*seal.Ring, error)   { return o.ring, nil }
func (o oneRing) Reload(context.Context) (*seal.Ring, error) { return o.ring, nil }

// put writes items in one commit, and replaces those that are there.
func put(t *testing.T, s store.Store, body []byte, keys ...store.Key) {
	t.Helper()
	var writes []store.Write
	for _, key := range keys {
		was, err := store.GetOne(t.Context(), s, key)
		if err != nil {
			t.Fatal(err)
		}
		writes = append(writes, store.Write{Key: key, Expect: was.Version, Body: body})
	}
	if err := s.Commit(t.Context(), store.NewVersion(), writes...); err != nil {
		t.Fatal(err)
	}
}

var ringItem = store.Key{Partition: "ring", Sort: "ring"}

// A rotation is the part of the key ring's item that doctor looks at.
type rotation struct {
	record.Head
	Rotated time.Time `record:"3"`
}

// encoded returns the body of a record, and the body of the same record in a later format.
func encoded(t *testing.T, r record.Record) (body, later []byte) {
	t.Helper()
	body, err := record.Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	later = bytes.Clone(body)
	later[2]++ // the format is the value of the first field
	return body, later
}

func putRing(t *testing.T, s store.Store, rotated time.Time) {
	body, _ := encoded(t, &rotation{Rotated: rotated})
	put(t, s, body, ringItem, mfa.PublishedKeysAt)
}

func putLaterRing(t *testing.T, s store.Store) {
	_, later := encoded(t, &rotation{Rotated: someday})
	put(t, s, later, ringItem, mfa.PublishedKeysAt)
}

func sweep(t *testing.T, s store.Store, at time.Time) {
	t.Helper()
	if _, err := (&mfa.Service{Store: s, Now: func() time.Time { return at }}).Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A patient is a deployment at Amazon in which nothing is wrong until a test changes something.
type patient struct {
	*operator
	*amazon
	db     store.Store
	client *dynamodb.Client
}

func newPatient(t *testing.T) *patient {
	t.Helper()
	o := newOperator()
	a := newAmazon(t, o)
	p := &patient{o, a, a.store(o), dynamo.LocalClient(a.endpoint)}
	a.tell("DescribeContinuousBackups", 200, backups("ENABLED"))
	a.tell("DescribeTimeToLive", 200, expiry("ENABLED", "x"))
	p.protect(t, true)
	a.tell("GET /v2/email/account", 200, sesAccount(true, true, "HEALTHY"))
	a.tell("GET /v2/email/identities/example.com", 200, identity(true))
	a.tell("GET /v2/email/configuration-sets/countersign-dev", 200, "{}")
	a.tell("GET /v2/email/configuration-sets/countersign-dev/event-destinations", 200, destination("BOUNCE", "COMPLAINT"))
	o.lookUpTXT = func(_ context.Context, name string) ([]string, error) {
		if name == "_dmarc.example.com" {
			return []string{"another", "v=DMARC1; p=none"}, nil
		}
		return nil, &net.DNSError{IsNotFound: true}
	}
	putRing(t, p.db, someday)
	o.must(t, "keys", "create", "--client", "app", "--scope", "sign_in", "--table", a.table, "--region", "eu-west-1")
	sweep(t, p.db, someday)
	return p
}

func backups(status string) string {
	return fmt.Sprintf(`{"ContinuousBackupsDescription":{"ContinuousBackupsStatus":"ENABLED","PointInTimeRecoveryDescription":{"PointInTimeRecoveryStatus":%q}}}`, status)
}

func expiry(status, attribute string) string {
	return fmt.Sprintf(`{"TimeToLiveDescription":{"TimeToLiveStatus":%q,"AttributeName":%q}}`, status, attribute)
}

func sesAccount(production, sending bool, enforcement string) string {
	return fmt.Sprintf(`{"ProductionAccessEnabled":%t,"SendingEnabled":%t,"EnforcementStatus":%q,"SendQuota":{"Max24HourSend":50000,"SentLast24Hours":12,"MaxSendRate":14}}`, production, sending, enforcement)
}

func identity(verified bool) string {
	return fmt.Sprintf(`{"VerifiedForSendingStatus":%t,"ConfigurationSetName":"countersign-dev","DkimAttributes":{"SigningEnabled":true,"Status":"SUCCESS"},
		"MailFromAttributes":{"MailFromDomain":"bounce.example.com","MailFromDomainStatus":"SUCCESS","BehaviorOnMxFailure":"USE_DEFAULT_VALUE"}}`, verified)
}

// destination returns the EventBridge destination of a configuration set, for events of these types.
func destination(events ...string) string {
	return fmt.Sprintf(`{"EventDestinations":[{"Name":"feedback","Enabled":true,"MatchingEventTypes":["%s"],"EventBridgeDestination":{"EventBusArn":"arn:aws:events:eu-west-1:123456789012:event-bus/default"}}]}`, strings.Join(events, `","`))
}

func (p *patient) protect(t *testing.T, on bool) {
	t.Helper()
	_, err := p.client.UpdateTable(t.Context(), &dynamodb.UpdateTableInput{TableName: &p.table, DeletionProtectionEnabled: &on})
	if err != nil {
		t.Fatal(err)
	}
}

func (p *patient) doctor(t *testing.T) int {
	t.Helper()
	return p.run(t, "doctor", "--table", p.table, "--region", "eu-west-1", "--sender", "codes@mail.example.com")
}

// wrongs returns the parts in which doctor has found a problem.
func wrongs(said string) (found []string) {
	for line := range strings.SplitSeq(said, "\n") {
		if what, ok := strings.CutPrefix(line, "WRONG   "); ok {
			about, _, _ := strings.Cut(what, ":")
			found = append(found, about)
		}
	}
	return found
}

func TestDoctorFindsNothingWrongWhereNothingIs(t *testing.T) {
	p := newPatient(t)
	if code := p.doctor(t); code != 0 || strings.Contains(p.said, "unseen") || !strings.HasSuffix(p.said, "\nNo problem was found.\n") {
		t.Fatalf("got %d and\n%s%s, want 0", code, p.said, p.told)
	}
	for _, about := range []string{"table", "key schema", "stream", "expiry", "recovery", "deletion protection", "key ring", "published keys", "API keys", "sweep", "SES account", "SES quota", "sender", "DKIM", "MAIL FROM", "DMARC", "SES configuration set"} {
		if !strings.Contains("\n"+p.said, "\nok      "+about+": ") {
			t.Errorf("nothing is said of %s:\n%s", about, p.said)
		}
	}
}

const mailSet = "SES configuration set"

func TestDoctorSaysWhatMailDoesWithout(t *testing.T) {
	p := newPatient(t)
	p.tell("GET /v2/email/account", 200, strings.Replace(sesAccount(true, true, "HEALTHY"), "50000", "-1", 1))
	p.tell("GET /v2/email/identities/example.com", 200, `{"VerifiedForSendingStatus":true,"DkimAttributes":{"SigningEnabled":true,"Status":"SUCCESS"}}`)
	p.lookUpTXT = func(context.Context, string) ([]string, error) { return nil, &net.DNSError{IsNotFound: true} }
	if code := p.doctor(t); code != 0 {
		t.Errorf("got %d, want 0", code)
	}
	for _, about := range []string{"MAIL FROM", "DMARC", mailSet} {
		if !strings.Contains(p.said, "\noff     "+about+": ") {
			t.Errorf("got\n%s, want that the deployment does without %s", p.said, about)
		}
	}
	if !strings.Contains(p.said, "there is no limit") {
		t.Errorf("got\n%s, want that there is no quota", p.said)
	}
	p.lookUpTXT = func(context.Context, string) ([]string, error) { return nil, &net.DNSError{IsTimeout: true} }
	if code := p.doctor(t); code != 0 || !strings.Contains(p.said, "\nunseen  DMARC: ") {
		t.Errorf("got %d and\n%s, want that the policy can't be seen", code, p.said)
	}
}

func TestDoctorLooksAtTheSetThatItIsGiven(t *testing.T) {
	p := newPatient(t)
	p.tell("GET /v2/email/identities/example.com", 200, strings.Replace(identity(true), "countersign-dev", "the-default", 1))
	code := p.run(t, "doctor", "--table", p.table, "--region", "eu-west-1", "--sender", "codes@mail.example.com", "--ses-configuration-set", "countersign-dev")
	if code != 0 || !strings.Contains(p.said, "\nok      "+mailSet+": countersign-dev tells") {
		t.Errorf("got %d and\n%s", code, p.said)
	}
}

func TestDoctorFindsWhatIsWrongAndNothingElse(t *testing.T) {
	stream := func(t *testing.T, p *patient, s *types.StreamSpecification) {
		if _, err := p.client.UpdateTable(t.Context(), &dynamodb.UpdateTableInput{TableName: &p.table, StreamSpecification: s}); err != nil {
			t.Fatal(err)
		}
		p.protect(t, true) // DynamoDB Local forgets the protection when the stream changes
	}
	const denied = `{"__type":"AccessDeniedException","message":"not you"}`
	for name, test := range map[string]struct {
		harm func(*testing.T, *patient)
		want string // what is wrong
		says string // a part of what is printed about it
	}{
		"another table's name": {func(t *testing.T, p *patient) { p.table += "x" }, "table", "TableName"},
		"another table": {func(t *testing.T, p *patient) {
			p.tell("DescribeTable", 200, `{"Table":{"TableStatus":"ACTIVE","KeySchema":[{"AttributeName":"id","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"id","AttributeType":"N"}]}}`)
		}, "key schema", "id N HASH"},
		"a table under way": {func(t *testing.T, p *patient) {
			p.tell("DescribeTable", 200, `{"Table":{"TableStatus":"CREATING"}}`)
		}, "table", "CREATING"},
		"no stream": {func(t *testing.T, p *patient) {
			stream(t, p, &types.StreamSpecification{StreamEnabled: aws.Bool(false)})
		}, "stream", "off"},
		"a stream of keys": {func(t *testing.T, p *patient) {
			stream(t, p, &types.StreamSpecification{StreamEnabled: aws.Bool(false)})
			stream(t, p, &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeKeysOnly})
		}, "stream", "KEYS_ONLY"},
		"expiry off":               {func(t *testing.T, p *patient) { p.tell("DescribeTimeToLive", 200, expiry("DISABLED", "")) }, "expiry", "update-time-to-live"},
		"expiry by another":        {func(t *testing.T, p *patient) { p.tell("DescribeTimeToLive", 200, expiry("ENABLED", "ttl")) }, "expiry", "must be on for x"},
		"expiry unknown":           {func(t *testing.T, p *patient) { p.tell("DescribeTimeToLive", 400, denied) }, "expiry", "administrator"},
		"no recovery":              {func(t *testing.T, p *patient) { p.tell("DescribeContinuousBackups", 200, backups("DISABLED")) }, "recovery", "update-continuous-backups"},
		"recovery unknown":         {func(t *testing.T, p *patient) { p.tell("DescribeContinuousBackups", 400, denied) }, "recovery", "administrator"},
		"no protection":            {func(t *testing.T, p *patient) { p.protect(t, false) }, "deletion protection", "--deletion-protection-enabled"},
		"a ring not rotated":       {func(t *testing.T, p *patient) { putRing(t, p.db, someday.AddDate(0, 0, -33)) }, "key ring", "2026-10-20"},
		"a ring of a later format": {func(t *testing.T, p *patient) { putLaterRing(t, p.db) }, "key ring", "version of this program"},
		"a damaged ring":           {func(t *testing.T, p *patient) { put(t, p.db, []byte("x"), ringItem) }, "key ring", "Restore"},
		"keys published by hand":   {func(t *testing.T, p *patient) { put(t, p.db, []byte("x"), mfa.PublishedKeysAt) }, "published keys", "sweep"},
		"no key": {func(t *testing.T, p *patient) {
			lines, err := (&apikey.Registry{Store: p.db, Now: p.now}).List(t.Context())
			if err != nil || len(lines) != 1 {
				t.Fatal(lines, err)
			}
			p.must(t, "keys", "revoke", lines[0].ID, "--table", p.table, "--region", "eu-west-1")
		}, "API keys", "keys create"},
		"keys unknown": {func(t *testing.T, p *patient) { p.tell("Query", 400, denied) }, "API keys", "administrator"},
		"a sweep that stopped": {func(t *testing.T, p *patient) {
			p.now = func() time.Time { return someday.Add(time.Hour + 11*time.Minute) }
		}, "sweep", "2026-11-22 10:00 UTC"},
		"a mark to come": {func(t *testing.T, p *patient) { sweep(t, p.db, someday.Add(time.Hour)) }, "sweep", "clock"},
		"a mark of a later format": {func(t *testing.T, p *patient) {
			_, later := encoded(t, &rotation{Rotated: someday})
			put(t, p.db, later, store.Key{Partition: "sweep", Sort: "mark"})
		}, "sweep", "version of this program"},
		"a damaged mark": {func(t *testing.T, p *patient) { put(t, p.db, []byte("x"), store.Key{Partition: "sweep", Sort: "mark"}) }, "sweep", "Restore"},
		"the sandbox": {func(t *testing.T, p *patient) {
			p.tell("GET /v2/email/account", 200, sesAccount(false, true, "HEALTHY"))
		}, "SES account", "production access"},
		"a pause": {func(t *testing.T, p *patient) {
			p.tell("GET /v2/email/account", 200, sesAccount(true, false, "HEALTHY"))
		}, "SES account", "paused"},
		"a shutdown": {func(t *testing.T, p *patient) {
			p.tell("GET /v2/email/account", 200, sesAccount(true, true, "SHUTDOWN"))
		}, "SES account", "paused"},
		"a review": {func(t *testing.T, p *patient) {
			p.tell("GET /v2/email/account", 200, sesAccount(true, true, "PROBATION"))
		}, "SES account", "review"},
		"SES unknown": {func(t *testing.T, p *patient) { p.tell("GET /v2/email/account", 403, denied) }, "SES account", "administrator"},
		"no identity": {func(t *testing.T, p *patient) {
			p.tell("GET /v2/email/identities/example.com", 404, `{"__type":"NotFoundException"}`)
		}, "sender", "create-email-identity"},
		"an identity to be verified": {func(t *testing.T, p *patient) {
			p.tell("GET /v2/email/identities/example.com", 200, identity(false))
		}, "sender", "not verified yet"},
		"identities unknown": {func(t *testing.T, p *patient) {
			p.tell("GET /v2/email/identities/mail.example.com", 403, denied)
		}, "sender", "administrator"},
		"a quota that is nearly used up": {func(t *testing.T, p *patient) {
			p.tell("GET /v2/email/account", 200, strings.Replace(sesAccount(true, true, "HEALTHY"), `"SentLast24Hours":12`, `"SentLast24Hours":40001`, 1))
		}, "SES quota", "40001 of at most 50000"},
		"no signature": {func(t *testing.T, p *patient) {
			p.tell("GET /v2/email/identities/example.com", 200, strings.Replace(identity(true), `"Status":"SUCCESS"`, `"Status":"PENDING"`, 1))
		}, "DKIM", "'mail.example.com'"},
		"a signature that is off": {func(t *testing.T, p *patient) {
			p.tell("GET /v2/email/identities/example.com", 200, strings.Replace(identity(true), `"SigningEnabled":true`, `"SigningEnabled":false`, 1))
		}, "DKIM", "DMARC"},
		"no MX record": {func(t *testing.T, p *patient) {
			p.tell("GET /v2/email/identities/example.com", 200, strings.Replace(identity(true), `"MailFromDomainStatus":"SUCCESS"`, `"MailFromDomainStatus":"FAILED"`, 1))
		}, "MAIL FROM", "bounce.example.com"},
		"no such set": {func(t *testing.T, p *patient) {
			p.tell("GET /v2/email/configuration-sets/countersign-dev", 404, `{"__type":"NotFoundException"}`)
		}, mailSet, "no set countersign-dev"},
		"a set that is unknown": {func(t *testing.T, p *patient) {
			p.tell("GET /v2/email/configuration-sets/countersign-dev", 403, denied)
		}, mailSet, "administrator"},
		"destinations that are unknown": {func(t *testing.T, p *patient) {
			p.tell("GET /v2/email/configuration-sets/countersign-dev/event-destinations", 403, denied)
		}, mailSet, "administrator"},
		"a set that is paused": {func(t *testing.T, p *patient) {
			p.tell("GET /v2/email/configuration-sets/countersign-dev", 200, `{"SendingOptions":{"SendingEnabled":false}}`)
		}, mailSet, "paused"},
		"opens are tracked": {func(t *testing.T, p *patient) {
			p.tell("GET /v2/email/configuration-sets/countersign-dev/event-destinations", 200, destination("BOUNCE", "COMPLAINT", "OPEN"))
		}, mailSet, "tracked"},
		"clicks are tracked": {func(t *testing.T, p *patient) {
			p.tell("GET /v2/email/configuration-sets/countersign-dev/event-destinations", 200, destination("BOUNCE", "COMPLAINT", "CLICK"))
		}, mailSet, "tracked"},
		"engagement is tracked in the account": {func(t *testing.T, p *patient) {
			p.tell("GET /v2/email/account", 200, strings.TrimSuffix(sesAccount(true, true, "HEALTHY"), "}")+`,"VdmAttributes":{"VdmEnabled":"ENABLED","DashboardAttributes":{"EngagementMetrics":"ENABLED"}}}`)
		}, mailSet, "tracked"},
		"engagement is tracked by the set": {func(t *testing.T, p *patient) {
			p.tell("GET /v2/email/configuration-sets/countersign-dev", 200, `{"VdmOptions":{"DashboardOptions":{"EngagementMetrics":"ENABLED"}}}`)
		}, mailSet, "tracked"},
		"complaints are not told": {func(t *testing.T, p *patient) {
			p.tell("GET /v2/email/configuration-sets/countersign-dev/event-destinations", 200, destination("BOUNCE"))
		}, mailSet, "default event bus"},
		"nothing is told": {func(t *testing.T, p *patient) {
			p.tell("GET /v2/email/configuration-sets/countersign-dev/event-destinations", 200, "{}")
		}, mailSet, "default event bus"},
		"nothing is told while the destination is disabled": {func(t *testing.T, p *patient) {
			p.tell("GET /v2/email/configuration-sets/countersign-dev/event-destinations", 200, strings.Replace(destination("BOUNCE", "COMPLAINT"), "true", "false", 1))
		}, mailSet, "default event bus"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPatient(t)
			test.harm(t, p)
			code := p.doctor(t)
			if got := wrongs(p.said); code != 1 || !slices.Equal(got, []string{test.want}) || !strings.Contains(p.said, test.says) {
				t.Errorf("got %d and\n%s%s, want 1 and only %s, with %q", code, p.said, p.told, test.want, test.says)
			}
			if !strings.HasSuffix(p.said, "\nOne problem was found.\n") || p.told != "" {
				t.Errorf("got %q and %q, want the sum of it", p.said, p.told)
			}
		})
	}
}

func TestASweepOfTheLastHalfHourIsWell(t *testing.T) {
	p := newPatient(t)
	p.now = func() time.Time { return someday.Add(time.Hour + 9*time.Minute) } // 11:29; the mark says 10:00
	if code := p.doctor(t); code != 0 {
		t.Errorf("got %d and\n%s, want 0", code, p.said)
	}
}

// What doctor says about the key ring and the sweep agrees, to the second, with what the packages that keep them say.
func TestDoctorSaysOfTheRingAndTheSweepWhatTheirOwnersSay(t *testing.T) {
	o := newOperator()
	a := newAmazon(t, o)
	db := a.store(o)
	putRing(t, db, someday)
	sweep(t, db, someday)
	o.must(t, "keys", "create", "--client", "app", "--scope", "sign_in", "--table", a.table, "--endpoint", a.endpoint)
	var seen []string
	for _, after := range []time.Duration{
		-21 * time.Minute, -20 * time.Minute, 0, 69*time.Minute + 59*time.Second, 70 * time.Minute,
		32 * 24 * time.Hour, 32*24*time.Hour + time.Second,
	} {
		now := someday.Add(after)
		o.now = func() time.Time { return now }
		ring, err := keyring.StatusOf(t.Context(), db, now)
		if err != nil {
			t.Fatal(err)
		}
		swept, err := mfa.StatusOfSweep(t.Context(), db, now)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		if ring.Late {
			want = append(want, "key ring")
		}
		if swept.Late {
			want = append(want, "sweep")
		}
		o.run(t, "doctor", "--table", a.table, "--endpoint", a.endpoint)
		if got := wrongs(o.said); !slices.Equal(got, want) {
			t.Errorf("after %v: the doctor finds wrong %v, and the owners %v", after, got, want)
		}
		seen = append(seen, strings.Join(want, "+"))
	}
	if want := []string{"", "", "", "", "sweep", "sweep", "key ring+sweep"}; !slices.Equal(seen, want) {
		t.Errorf("got %q, want the borders seen from both sides: %q", seen, want)
	}
}

func TestAnAddressIsAsGoodAsItsDomain(t *testing.T) {
	p := newPatient(t)
	p.tell("GET /v2/email/identities/example.com", 404, `{"__type":"NotFoundException"}`)
	p.tell("GET /v2/email/identities/codes@mail.example.com", 200, identity(true))
	p.tell("GET /v2/email/identities/codes%40mail.example.com", 200, identity(true))
	if code := p.doctor(t); code != 0 || !strings.Contains(p.said, "ok      sender: The identity codes@mail.example.com is verified.") {
		t.Errorf("got %d and\n%s, want 0", code, p.said)
	}
}

func TestAnEmptyTableLacksWhatNobodyHasMadeYet(t *testing.T) {
	o := newOperator()
	a := newAmazon(t, o)
	code := o.run(t, "doctor", "--table", a.table, "--endpoint", a.endpoint)
	if got, want := wrongs(o.said), []string{"key ring", "API keys", "sweep"}; code != 1 || !slices.Equal(got, want) {
		t.Errorf("got %d and\n%s%s, want 1 and %v", code, o.said, o.told, want)
	}
	if !strings.HasSuffix(o.said, "\n3 problems were found.\n") {
		t.Errorf("got\n%s, want the sum of it", o.said)
	}
	db := a.store(o)
	putRing(t, db, someday)
	sweep(t, db, someday.Add(48*time.Hour)) // its clock was moved
	o.must(t, "keys", "create", "--client", "app", "--scope", "sign_in", "--table", a.table, "--endpoint", a.endpoint)
	o.must(t, "doctor", "--table", a.table, "--endpoint", a.endpoint)
	if got := strings.Count(o.said, "unseen"); got != 2 {
		t.Errorf("got\n%s, want two things that only Amazon has", o.said)
	}
}

func TestAKeyThatCannotSignAnybodyInIsNotEnough(t *testing.T) {
	o := newOperator()
	a := newAmazon(t, o)
	o.must(t, "keys", "create", "--client", "app", "--scope", "manage", "--table", a.table, "--endpoint", a.endpoint)
	o.run(t, "doctor", "--table", a.table, "--endpoint", a.endpoint)
	if !strings.Contains(o.said, "WRONG   API keys: No API key has the scope sign_in, so no application can start a sign-in. There is 1 API key.") {
		t.Errorf("got\n%s, want that no key is good for sign-ins", o.said)
	}
}
