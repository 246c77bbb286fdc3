package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"strings"
	"time"

	"github.com/pquerna/otp/totp"

	"countersign/infra/amazon"
	"countersign/pkg/store"
	"countersign/pkg/store/dynamo/stream"
)

const (
	perSecond = 10 // how many sign-ins there are in a second
	seconds   = 10 // how many seconds are measured
	window    = 10 // how many seconds Lambda collects records for a batch, as in template.yaml
	// shards is how many shards the stream of a new on-demand table has. Such a table takes 4,000 write units a second, and a
	// partition takes 1,000. Lambda gives publish the records of each shard separately.
	// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html
	shards       = 4
	memoryMB     = 512        // the memory of each function in template.yaml
	activityDays = 400        // how many days activity is kept
	sweepsAnHour = 4          // as in template.yaml
	monthHours   = 365.25 * 2 // how many hours a month has
)

// spreads says how many orgs the measured sign-ins belong to. The sign-ins of a thousand orgs would share no page of activity,
// so they are measured with an org for each sign-in. The day of each org has begun before.
var spreads = []struct {
	name string
	orgs int
}{{"all of one org", 1}, {"ten orgs", 10}, {"a thousand orgs", perSecond * seconds}}

// A kind is a kind of sign-in. prepare does what has to happen on the day before, and returns what signIn needs. Only signIn
// is measured.
type kind struct {
	name    string
	profile string  // the profile of the org's policy
	target  float64 // in USD per million sign-ins, without the price of emails; 0 if there is none
	prepare func(context.Context, *rig, person) (string, error)
	signIn  func(context.Context, *rig, person, string) error
}

// kinds returns all kinds of sign-in.
func kinds() []kind {
	known := func(ctx context.Context, r *rig, p person) (string, error) { return r.byEmail(ctx, p, false) }
	return []kind{
		{"by authenticator app (two calls)", "default", 5.5, func(ctx context.Context, r *rig, p person) (string, error) {
			secret, err := r.enrol(ctx, p)
			if err != nil {
				return "", err
			}
			code, err := nextCode(secret, r.now())
			if err != nil {
				return "", err
			}
			return secret, r.byApp(ctx, p, code)
		}, func(ctx context.Context, r *rig, p person, secret string) error {
			code, err := totp.GenerateCode(secret, r.now())
			if err != nil {
				return err
			}
			return r.byApp(ctx, p, code)
		}},
		{"by email (two calls)", "kls", 7.5, known, func(ctx context.Context, r *rig, p person, _ string) error {
			_, err := r.byEmail(ctx, p, false)
			return err
		}},
		{"by email, and the browser is trusted from then on", "kls", 0, known, func(ctx context.Context, r *rig, p person, _ string) error {
			_, err := r.byEmail(ctx, p, true)
			return err
		}},
		{"from a trusted browser (one call)", "kls", 2.5, func(ctx context.Context, r *rig, p person) (string, error) {
			return r.byEmail(ctx, p, true)
		}, func(ctx context.Context, r *rig, p person, token string) error {
			said, err := r.start(ctx, p, token)
			if err == nil && said["decision"] != "allow" {
				err = fmt.Errorf("a trusted browser was asked: %v", said["reason"])
			}
			return err
		}},
	}
}

// byApp signs a person in with a code of an authenticator app.
func (r *rig) byApp(ctx context.Context, p person, code string) error {
	id, err := r.challenged(ctx, p)
	if err != nil {
		return err
	}
	_, err = r.call(ctx, "verify", "POST", "/v1/challenges/"+id+"/verify", object{"code": code})
	return err
}

// byEmail signs a person in with a code by email. If trust is set, it returns the trust token of the browser.
func (r *rig) byEmail(ctx context.Context, p person, trust bool) (string, error) {
	id, err := r.challenged(ctx, p)
	if err != nil {
		return "", err
	}
	body := object{"code": r.amazon.code(p.email)}
	if trust {
		body["trust"] = object{"name": "Firefox"}
	}
	said, err := r.call(ctx, "verify", "POST", "/v1/challenges/"+id+"/verify", body)
	token, _ := said["trust_token"].(string)
	if err == nil && trust && token == "" {
		err = errors.New("the browser was not trusted")
	}
	return token, err
}

// costs meters sign-ins, and prints what they cost.
func costs(ctx context.Context, out io.Writer, _ options) error {
	r, err := openRig(ctx)
	if err != nil {
		return err
	}
	defer r.close()
	how := fmt.Sprintf("at %d MB's share of a core", memoryMB)
	if share, err := newSlot(0, memoryMB); err != nil {
		how = fmt.Sprintf("at a whole core (%v)", err)
	} else {
		r.in = share
		defer share.remove()
		defer r.stop()
	}
	m := &meter{rig: r, feed: stream.New(stream.Options{Client: stream.LocalClient(r.amazon.Table), Table: r.table}), perSecond: perSecond, seconds: seconds}
	fmt.Fprint(out, "| a sign-in uses | read units | write units | of these for activity | API calls | invocations | ms of functions | bus events | requests of KMS |\n"+
		"|---|---|---|---|---|---|---|---|---|\n")
	var bill strings.Builder
	for _, k := range kinds() {
		for _, of := range spreads {
			u, activity, err := m.measure(ctx, k, of.orgs)
			if err != nil {
				return fmt.Errorf("%s: %w", k.name, err)
			}
			name := k.name + ", " + of.name
			const n = perSecond * seconds
			fmt.Fprintf(out, "| %s | %.1f | %.1f | %.1f | %.0f | %.1f | %.0f | %.1f | %.0f |\n", name, u.reads/n, u.writes/n, activity.writes/n,
				float64(u.calls)/n, float64(u.invocations)/n, float64(u.milliseconds)/n, float64(u.busEvents)/n, float64(u.kms)/n)
			b := u.bill()
			million := func(usd float64) float64 { return usd / n * 1e6 }
			aim := " | "
			if k.target > 0 {
				aim = fmt.Sprintf("at most %.1f | %s", k.target, met(million(b.sum()) <= k.target))
			}
			fmt.Fprintf(&bill, "| %s | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f | %s | %.2f |\n", name, million(b.api), million(b.functions),
				million(b.reads), million(b.writes), million(b.rest), million(b.sum()), aim, million(keeping(float64(u.activity))))
		}
	}
	fmt.Fprint(out, "\n| USD per million sign-ins | API | functions | reads | writes | bus, KMS, logs, answers | in all | target | | to keep their activity |\n"+
		"|---|---|---|---|---|---|---|---|---|---|\n", bill.String())
	idle, watch, err := m.idle(ctx)
	if err != nil {
		return fmt.Errorf("idle: %w", err)
	}
	fmt.Fprintf(out, "\nFor each row %d sign-ins were metered, %d in a second, by users who had also signed in on the day before. Their ids are UUIDs, they have names, and each sign-in has the user agent of a browser. "+
		"The units of the table are those that DynamoDB Local reports for each request. The prices are list prices of %s without free tiers, and are in [prices.go](prices.go). "+
		"The costs are those of calls of the HTTP API, of functions (at the price of arm64, for their time on this machine %s, where each invocation is rounded up to a ms), of the units of the table, "+
		"of KMS, of the event bus, of logs with the access log of the API, and of answers to the internet. They include publish, which gets batches of %d seconds from each of %d shards. "+
		"Lambda's reads of the stream are free. Sign-ins by email cost %.0f USD per million more, for the emails of SES. Activity is kept for %d days, with backups.\n\n"+
		"A deployment that nobody uses costs %.2f USD a month for the KMS key, %.4f USD for the sweep, which runs %d times an hour, %s.\n",
		perSecond*seconds, perSecond, pricesOf, how, window, shards, prices.email.usd*1e6, activityDays, prices.kmsKey.usd, idle, sweepsAnHour, watch)
	return nil
}

// A bill says what a usage costs in USD, without the price of emails.
type bill struct{ api, functions, reads, writes, rest float64 }

func (u usage) bill() bill {
	return bill{
		api: float64(u.calls) * prices.api.usd,
		functions: float64(u.invocations)*prices.invocation.usd +
			float64(u.milliseconds)/1000*memoryMB/1024*prices.gigabyteSecond.usd,
		reads:  u.reads * prices.read.usd,
		writes: u.writes * prices.write.usd,
		rest: float64(u.kms)*prices.kms.usd + float64(u.busEvents)*prices.busEvent.usd +
			float64(u.logged)*prices.logged.usd + float64(u.answered)*prices.out.usd,
	}
}

func (b bill) sum() float64 { return b.api + b.functions + b.reads + b.writes + b.rest }

// keeping returns what it costs in USD to keep bytes of activity for activityDays.
func keeping(bytes float64) float64 {
	return bytes * (prices.stored.usd + prices.backup.usd) * activityDays * 24 / monthHours
}

// A meter measures sign-ins on a rig, and gives publish the records of the rig's stream.
type meter struct {
	rig  *rig
	feed store.Feed

	perSecond, seconds int // how many sign-ins in a second, and for how many seconds
}

// measure returns what sign-ins of a kind use, by users of several orgs, and how much of that is for their activity. Before it
// measures, one user of each org signs in, so that all functions run and the day of each org has begun.
func (m *meter) measure(ctx context.Context, k kind, orgs int) (all, activity usage, err error) {
	n := m.perSecond * m.seconds
	m.rig.move(-25 * time.Hour)
	var names []string
	for range orgs {
		m.rig.orgs++
		names = append(names, fmt.Sprintf("org-%d", m.rig.orgs))
		if err := m.rig.policy(ctx, names[len(names)-1], k.profile); err != nil {
			return all, activity, err
		}
	}
	var people []person
	var needs []string
	for i := range n + orgs {
		p := m.rig.newPerson(names[i%orgs])
		need, err := k.prepare(ctx, m.rig, p)
		if err != nil {
			return all, activity, err
		}
		people, needs = append(people, p), append(needs, need)
	}
	signIn := func(from, to int) error {
		for i := from; i < to; i++ {
			if err := k.signIn(ctx, m.rig, people[i], needs[i]); err != nil {
				return err
			}
		}
		return nil
	}
	if err := m.publish(ctx); err != nil {
		return all, activity, err
	}
	m.rig.move(0)
	if err := signIn(n, n+orgs); err != nil {
		return all, activity, err
	}
	if err := m.publish(ctx); err != nil {
		return all, activity, err
	}
	m.take()
	for second := 0; second < m.seconds; second += window {
		if err := signIn(second*m.perSecond, min(second+window, m.seconds)*m.perSecond); err != nil {
			return all, activity, err
		}
		all.add(m.take())
		if err := m.publish(ctx); err != nil {
			return all, activity, err
		}
		activity.add(m.take())
	}
	all.add(activity)
	if all.refused > 0 {
		err = fmt.Errorf("the table refused %d requests, and doesn't tell what they cost", all.refused)
	}
	return all, activity, err
}

// take returns what was used since the last call of take.
func (m *meter) take() usage {
	used := m.rig.amazon.take()
	used.add(m.rig.metered)
	m.rig.metered = usage{}
	return used
}

// publish gives the function publish what was committed, as Lambda would at the end of a window.
func (m *meter) publish(ctx context.Context) error {
	var waiting [shards][]object
	number := 0
	err := m.feed.Deliver(ctx, store.MaxLimit, func(_ context.Context, records []store.Record) error {
		for _, r := range records {
			hash := fnv.New32a()
			hash.Write([]byte(r.Key.Partition))
			number++
			at := hash.Sum32() % shards
			waiting[at] = append(waiting[at], object{
				"eventName": "MODIFY", "eventSource": "aws:dynamodb", "awsRegion": amazon.Region, "dynamodb": object{
					"SequenceNumber": fmt.Sprint(number), "StreamViewType": "NEW_IMAGE", "NewImage": object{
						"pk": object{"S": r.Key.Partition}, "sk": object{"S": r.Key.Sort}, "v": object{"S": r.Version}, "e": object{"B": r.Events},
					},
				},
			})
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, batch := range waiting {
		for len(batch) > 0 {
			n := min(len(batch), 100) // the BatchSize of template.yaml
			if err := m.batch(ctx, batch[:n]); err != nil {
				return err
			}
			batch = batch[n:]
		}
	}
	return nil
}

func (m *meter) batch(ctx context.Context, records []object) error {
	event, err := json.Marshal(object{"Records": records})
	if err != nil {
		return err
	}
	answer, err := m.rig.invoke(ctx, "publish", event)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	var said struct {
		Failures []object `json:"batchItemFailures"`
	}
	if err := json.Unmarshal(answer, &said); err != nil || len(said.Failures) > 0 {
		return fmt.Errorf("publish gave %d records back: %w", len(said.Failures), err)
	}
	return nil
}

// idle returns what the sweep costs in USD in a month in which nothing happens. In each hour, one run looks at the hour before,
// and the other runs find that done. It also returns what is paid for alarms and metrics.
func (m *meter) idle(ctx context.Context) (float64, watching, error) {
	var runs [3]usage // the first run has to catch up, so it doesn't count
	var written []byte
	m.rig.stop()
	for i := range runs {
		if i > 0 {
			m.rig.move(time.Hour)
		}
		f, err := m.rig.function(ctx, "sweep")
		if err != nil {
			return 0, watching{}, err
		}
		m.take()
		_, took, err := f.invoke(ctx, []byte("{}"))
		runs[i] = m.take()
		runs[i].invocations, runs[i].milliseconds, runs[i].logged = 1, int(took.Milliseconds())+1, f.said.bytes()
		if err != nil {
			return 0, watching{}, err
		}
		written = append(written, f.said.text()...)
	}
	watch, err := watched(m.rig.template, written)
	return (runs[1].bill().sum() + (sweepsAnHour-1)*runs[2].bill().sum()) * monthHours, watch, err
}
