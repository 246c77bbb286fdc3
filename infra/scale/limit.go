package main

import (
	"math"
	"math/rand/v2"

	"countersign/pkg/store"
)

// What a partition of DynamoDB gives in a second, whatever was asked of Amazon.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/warm-throughput-scenarios.html
const (
	partitionReads  = 3000
	partitionWrites = 1000
)

// These are assumptions, because nothing has run at Amazon yet.
const (
	trip        = 0.005 // seconds that a round trip from a function to the table takes
	callTime    = 0.030 // seconds that a function works on a call
	sendingTime = 0.120 // seconds more if the call hands a code over to SES or to SNS
	prefixes    = 100   // how many prefixes the numbers of an org have
)

const (
	newShards     = 4         // how many shards the stream of a new table has; see infra/bench
	collect       = 10        // for how many seconds Lambda collects records for a batch, as in template.yaml
	dueShards     = 4         // of an hour, as in pkg/mfa
	mostDayShards = 8         // of an org's day of activity, as in pkg/activity
	dayShardHolds = 4_000_000 // events in a day, as in pkg/activity
	orgsAtOnce    = 8         // which publish files at the same time, as in pkg/activity
)

// A scene is so many sign-ins in a second, by users of so many orgs, with calls of so many API keys.
type scene struct {
	rate       float64
	orgs, keys int
}

// A limit is something that there is only so much of. load says how much of it sign-ins of a kind take, where 1 is all.
type limit struct {
	name string
	load func(*pattern, scene) float64
	page string // where Amazon says it; empty if it is no limit of Amazon

	sandbox bool // it is only for trying things out, and no deployment that is used has it
}

const (
	devGuide   = "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/"
	gateway    = "https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html"
	lambda     = "https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"
	lambdaRate = "https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html"
)

// quotas are those limits that the owner can raise, or ask Amazon to raise.
func quotas() []limit {
	of := func(most float64, amount func(*pattern) float64) func(*pattern, scene) float64 {
		return func(p *pattern, s scene) float64 { return amount(p) * s.rate / most }
	}
	calls := func(p *pattern) float64 { return float64(p.calls) }
	table := func(most float64, of func(use) float64) func(*pattern, scene) float64 {
		return func(p *pattern, s scene) float64 { return of(p.table(s)) * s.rate / most }
	}
	reads, writes := func(u use) float64 { return u.reads }, func(u use) float64 { return u.writes }
	return []limit{
		{name: "500 calls a second in template.yaml", load: of(500, calls)},
		{name: "10,000 calls of HTTP APIs a second", load: of(10_000, calls), page: gateway},
		{name: "1,000 functions running at once", load: of(1000, (*pattern).running), page: lambda},
		{name: "10,000 invocations a second", load: of(10_000, calls), page: lambdaRate},
		{name: "12,000 reads a second of a new table", load: table(12_000, reads), page: devGuide + "on-demand-capacity-mode.html"},
		{name: "4,000 writes a second of a new table", load: table(4000, writes), page: devGuide + "on-demand-capacity-mode.html"},
		{name: "40,000 reads a second of a table", load: table(40_000, reads), page: devGuide + "ServiceQuotas.html"},
		{name: "40,000 writes a second of a table", load: table(40_000, writes), page: devGuide + "ServiceQuotas.html"},
		{
			name: "1 email a second in the sandbox of SES", load: of(1, func(p *pattern) float64 { return p.emails }),
			page: "https://docs.aws.amazon.com/ses/latest/dg/quotas.html", sandbox: true,
		},
		{name: "20 texts a second of SNS", load: of(20, func(p *pattern) float64 { return p.texts }), page: "https://docs.aws.amazon.com/general/latest/gr/sns.html"},
	}
}

// running returns for how many seconds functions run for a sign-in, without publish.
func (p *pattern) running() float64 {
	return float64(p.calls)*callTime + (p.emails+p.texts)*sendingTime
}

// bounds are those limits that Amazon doesn't raise: what a partition gives to the busiest partition key of a class, and how fast
// publish works.
func bounds() (all []limit) {
	for _, class := range []string{ofKey, ofPolicy, ofDue, ofSMS, ofPrefix, ofPages} {
		all = append(all, limit{name: class, load: func(p *pattern, s scene) float64 { return p.busiest(class, s) }})
	}
	return append(all,
		limit{name: "publish, page by page", load: func(p *pattern, s scene) float64 { return p.filing(s).pages * 2 * trip }},
		limit{name: "publish, batch by batch", load: func(p *pattern, s scene) float64 { return p.filing(s).busy }})
}

// table returns what a sign-in takes of the whole table, with publish.
func (p *pattern) table(s scene) use {
	all := sum(p.steps)
	f := p.filing(s)
	for _, class := range classes() {
		u := p.publish(class, f.onPage)
		all = all.plus(use{u.reads * p.marks, u.writes * p.marks})
	}
	return all
}

// copies draws so many sign-ins, each of which takes one of the keys or orgs and reads one of its copies, and returns how many
// have taken the busiest copy. The draw is the same each time.
func copies(rate float64, of, each int) float64 {
	random := rand.New(rand.NewPCG(1, 2))
	taken := make([]int, of*each)
	most := 0
	for range int(math.Round(rate)) {
		at := random.IntN(of)*each + random.IntN(each)
		taken[at]++
		most = max(most, taken[at])
	}
	return float64(most)
}

// busiest returns how much of a partition the busiest partition key of a class takes.
func (p *pattern) busiest(class string, s scene) float64 {
	u := p.steps[class]
	if u == (use{}) && class != ofPages {
		return 0
	}
	var times float64 // how many sign-ins in a second have this partition key
	switch class {
	case ofKey:
		times = copies(s.rate, s.keys, store.Copies)
	case ofPolicy:
		times = copies(s.rate, s.orgs, store.Copies)
	case ofDue: // all that is trusted in an hour ends in one hour, if all orgs trust for equally many days
		times = copies(s.rate, 1, dueShards)
	case ofSMS:
		times = copies(s.rate, s.orgs, 1)
	case ofPrefix:
		times = copies(s.rate, s.orgs, prefixes)
	case ofPages:
		f := p.filing(s)
		u, times = p.publish(class, f.onPage), f.pages*f.onPage
	}
	return max(u.reads*times/partitionReads, u.writes*times/partitionWrites)
}

// A filing says how publish works off what the stream brings.
type filing struct {
	onPage float64 // how many records are on a page
	pages  float64 // how many pages a shard of an org's day gets in a second
	busy   float64 // for which part of the time the function of one shard of the stream works; more than 1 is too slow
}

// filing returns how publish works off the records of the sign-ins. A stream has a shard for each partition of the table, and
// the table has as many as it needs for its writes. Each shard has one publish, which works off one batch after the other. In a
// batch it works on several orgs at the same time, and for each of them on one page after the other.
func (p *pattern) filing(s scene) filing {
	records := s.rate * p.marks
	if records == 0 {
		return filing{onPage: 1}
	}
	shards := max(newShards, math.Ceil(s.rate*sum(p.steps).writes/partitionWrites))
	batch := min(batchSize, max(1, records/shards*collect))
	chains := float64(s.orgs) * p.dayShards(s)
	touched := chains * (1 - math.Pow(1-1/chains, batch)) // how many of them a batch has records of
	f := filing{onPage: batch / touched, pages: records / batch * touched / chains}
	orgs := float64(s.orgs) * (1 - math.Pow(1-1/float64(s.orgs), batch))
	inTurn := touched / min(orgsAtOnce, orgs) // pages after each other
	f.busy = records / shards / batch * (1 + 2*inTurn) * trip
	return f
}

// dayShards returns how many shards the activity of an org's day has, if the day before was like today.
func (p *pattern) dayShards(s scene) float64 {
	shards := 1.0
	for shards < mostDayShards && s.rate/float64(s.orgs)*p.marks*86400 > shards*dayShardHolds {
		shards *= 2
	}
	return shards
}

// mostRate is the most sign-ins in a second for which limits are looked for.
const mostRate = 300_000

// reached returns how many sign-ins there are in a second when a limit is reached. It is infinite if there is no such number, up to
// mostRate.
func (l limit) reached(p *pattern, s scene) float64 {
	at := func(rate float64) float64 { return l.load(p, scene{rate, s.orgs, s.keys}) }
	low, high := 0.0, 1.0
	for at(high) < 1 {
		if high == mostRate {
			return math.Inf(1)
		}
		low, high = high, min(mostRate, high*2)
	}
	for high-low > high/200 {
		if middle := (low + high) / 2; at(middle) < 1 {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}
