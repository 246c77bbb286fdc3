package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"countersign/infra/amazon"
	"countersign/pkg/apikey"
	"countersign/pkg/message"
	"countersign/pkg/mfa"
	"countersign/pkg/pages"
	"countersign/pkg/seal"
	"countersign/pkg/store"
)

// A condition says how processes are started.
type condition struct {
	name    string
	evicted bool // the binary is not in the page cache of the kernel
	memory  int  // from its first event on, a process has the share of a core that Lambda gives for so many MB; 0 stands for whole cores
}

// benchOrg is the org of the users who sign in.
const benchOrg = "bench"

// asInLambda names the condition under which Lambda starts a function with so much memory. Until its first event a function has a
// whole core.
func asInLambda(memory int) string {
	return fmt.Sprintf("%d MB's share of a core from the first event on, as in Lambda", memory)
}

// memoryBefore is the memory in MB that each function had in November 2026. The program naive has as much.
const memoryBefore = 256

func conditions(memory int) []condition {
	return []condition{
		{name: "a whole core, and the binary in the page cache"},
		{name: "a whole core, and the binary evicted", evicted: true},
		{name: asInLambda(memory), memory: memory},
		{name: asInLambda(memory) + ", and the binary evicted", memory: memory, evicted: true},
		{name: asInLambda(memoryBefore), memory: memoryBefore},
	}
}

// A starter is a program whose start is measured.
type starter struct {
	name        string
	path        string
	environment []string
	event       func(context.Context) ([]byte, error) // makes the event for a process; nil if the program gets none
}

// A start is what was measured of one process: the times from its start until it asked for its first event (next) and until it
// had answered that (total), the processor time that it had used by then, all in ms, and its resident memory in MB.
type start struct{ next, total, nextCPU, totalCPU, resident float64 }

// coldStart measures how long functions take to start and to give their first answer.
func coldStart(ctx context.Context, out io.Writer, o options) error {
	r, err := openRig(ctx)
	if err != nil {
		return err
	}
	defer r.close()
	if o.memory == 0 {
		o.memory = r.deployed["verify"].Memory
	}
	starters, err := r.starters(ctx)
	if err != nil {
		return err
	}
	naive, err := r.naive(ctx)
	if err != nil {
		return err
	}
	starters = append(starters, naive)
	earlier, err := r.earlier(ctx, o.before)
	if err != nil {
		return err
	}
	defer closeAll(earlier)
	for _, e := range earlier {
		starters = append(starters, e.verify)
	}
	all := conditions(o.memory)
	measured, err := starts(ctx, starters, all, o.rounds)
	if err != nil {
		return err
	}
	fmt.Fprint(out, "| cold start, ms | hello, exec to next | verify, exec to next | of that, without its calls to Amazon | naive, exec to next | "+
		"verify, exec to first answer | naive, exec to first answer | naive ÷ verify |\n|---|---|---|---|---|---|---|---|\n")
	for _, c := range all {
		runs, done := measured[c.name]
		if !done {
			fmt.Fprintf(out, "| %s | not measured: this machine can't do it |\n", c.name)
			continue
		}
		fmt.Fprintf(out, "| %s | %.1f | %.1f | %.1f | %.1f | %.1f | %.1f | %.1f |\n", c.name,
			middle(runs["hello"], next), middle(runs["verify"], next), middle(runs["verify without calls"], next), middle(runs["naive"], next),
			middle(runs["verify"], total), middle(runs["naive"], total), ratio(runs["naive"], runs["verify"], total))
	}
	fmt.Fprintf(out, "\nEach figure is the median of %d rounds. In each round each program is started once under each condition, one after the other. A time begins with "+
		"the exec of the bootstrap. It ends with the first call of `/next` of a Runtime API, or with the first answer, to a right code. The calls to Amazon go to DynamoDB "+
		"Local and stand-ins, over TLS with a chain of certificates like Amazon's. Before its first `/next`, verify gets its key ring (with a read of the table and a call of "+
		"KMS), and pages the public keys (with a read of the table). hello always answers the same. naive makes the same calls as verify, with a client for each service, LoadDefaultConfig, and the %d roots of the system. A share "+
		"is MB/1769 of a core, by the quota of a cgroup over 20 ms. A ratio is the median of the ratios of the rounds.\n\n", o.rounds, r.systemRoots())
	cached := measured[all[0].name]
	compared := []string{"hello", "verify", "pages", "naive"}
	for _, e := range earlier {
		compared = append(compared, e.verify.name)
	}
	fmt.Fprintf(out, "| of one process | %s |\n|---%s|\n", strings.Join(compared, " | "), strings.Repeat("|---", len(compared)))
	for _, row := range []struct {
		name string
		of   func(start) float64
	}{
		{"processor time to the first `/next`, ms", func(s start) float64 { return s.nextCPU }},
		{"processor time to the first answer, ms", func(s start) float64 { return s.totalCPU }},
		{"resident at the first answer, MB", resident},
	} {
		fmt.Fprintf(out, "| %s |", row.name)
		for _, name := range compared {
			fmt.Fprintf(out, " %.1f |", middle(cached[name], row.of))
		}
		fmt.Fprintln(out)
	}
	fmt.Fprintln(out)
	fmt.Fprint(out, "| pages, ms | exec to next | exec to first answer, the page of a link |\n|---|---|---|\n")
	for _, c := range all {
		if runs, done := measured[c.name]; done {
			fmt.Fprintf(out, "| %s | %.1f | %.1f |\n", c.name, middle(runs["pages"], next), middle(runs["pages"], total))
		}
	}
	fmt.Fprintln(out)
	for _, e := range earlier {
		e.compare(out, all, measured)
	}
	sizes, err := r.sizes(ctx, out, earlier)
	if err != nil {
		return err
	}
	targets(out, o.memory, measured, earlier, sizes)
	return nil
}

func next(s start) float64     { return s.next }
func total(s start) float64    { return s.total }
func resident(s start) float64 { return s.resident }

func middle(all []start, of func(start) float64) float64 {
	var values []float64
	for _, s := range all {
		values = append(values, of(s))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// ratio returns the median of the ratios of all rounds.
func ratio(a, b []start, of func(start) float64) float64 {
	var values []float64
	for i := range a {
		values = append(values, of(a[i])/of(b[i]))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// starts starts each of the programs once in each round under each condition. It returns what was measured by condition and
// program, without the conditions that this machine can't make.
func starts(ctx context.Context, starters []starter, all []condition, rounds int) (measured map[string]map[string][]start, err error) {
	measured = map[string]map[string][]start{}
	shares := map[string]*slot{}
	defer func() {
		for _, share := range shares {
			if share != nil {
				err = errors.Join(err, share.remove())
			}
		}
	}()
	for i, c := range all {
		if c.memory > 0 {
			share, err := newSlot(i, c.memory)
			if err != nil {
				continue
			}
			shares[c.name] = share
		}
		if c.evicted && evict(starters[0].path) != nil {
			continue
		}
		measured[c.name] = map[string][]start{}
	}
	for range rounds {
		for _, c := range all {
			runs, possible := measured[c.name]
			if !possible {
				continue
			}
			for _, s := range starters {
				run, err := s.start(ctx, c, shares[c.name])
				if err != nil {
					return nil, fmt.Errorf("%s: %s: %w", c.name, s.name, err)
				}
				runs[s.name] = append(runs[s.name], run)
			}
		}
	}
	return measured, nil
}

func (s starter) start(ctx context.Context, c condition, share *slot) (run start, err error) {
	var event []byte
	if s.event != nil {
		if event, err = s.event(ctx); err != nil {
			return run, err
		}
	}
	if c.evicted {
		if err := evict(s.path); err != nil {
			return run, err
		}
	}
	f, err := launch(ctx, s.path, s.environment, nil)
	if err != nil {
		return run, err
	}
	defer f.Kill()
	run.next, run.nextCPU = f.ready.Seconds()*1000, cpuMS(f.Pid())
	if event == nil {
		return run, nil
	}
	if err := share.add(f.Pid()); err != nil {
		return run, err
	}
	answer, took, err := f.invoke(ctx, event)
	if err != nil {
		return run, err
	}
	if _, err := bodyOf(answer); err != nil {
		return run, err
	}
	run.total = run.next + took.Seconds()*1000
	run.totalCPU, run.resident = cpuMS(f.Pid()), residentMB(f.Pid())
	return run, nil
}

// starters returns all programs except naive.
func (r *rig) starters(ctx context.Context) ([]starter, error) {
	if err := r.policy(ctx, benchOrg, "kls"); err != nil {
		return nil, err
	}
	environment, err := r.environment("verify")
	if err != nil {
		return nil, err
	}
	ofPages, err := r.environment("pages")
	if err != nil {
		return nil, err
	}
	// A function that lacks a setting makes no call before /next. It then answers that it is unavailable.
	without := slices.DeleteFunc(slices.Clone(environment), func(v string) bool { return strings.HasPrefix(v, "COUNTERSIGN_TABLE=") })
	return []starter{
		{name: "hello", path: r.program("hello"), event: func(context.Context) ([]byte, error) {
			return payload("", "GET", "/", object{}, r.now())
		}},
		{name: "verify", path: r.program("verify"), environment: environment, event: r.rightCode},
		{name: "verify without calls", path: r.program("verify"), environment: without},
		{name: "pages", path: r.program("pages"), environment: ofPages, event: func(context.Context) ([]byte, error) {
			handle := seal.Handle + strings.Repeat("A", 60)
			return payload("", "GET", pages.Prefix+"challenge/"+handle, object{}, r.now())
		}},
	}, nil
}

// rightCode returns the event of a verify of a new user, with the right code.
func (r *rig) rightCode(ctx context.Context) ([]byte, error) {
	p := r.newPerson(benchOrg)
	id, err := r.challenged(ctx, p)
	if err != nil {
		return nil, err
	}
	return payload(r.apiKey, "POST", "/v1/challenges/"+id+"/verify", object{"code": r.amazon.code(p.email)}, r.now())
}

// naive builds the program naive, and makes a table for it, with a key ring that the bench has made.
func (r *rig) naive(ctx context.Context) (starter, error) {
	none := starter{}
	dir := filepath.Join(r.module, "infra", "bench", "naive")
	// The go command may change go.mod, so it gets a copy.
	copied := filepath.Join(r.dir, "naive.mod")
	for from, to := range map[string]string{"go.mod": copied, "go.sum": filepath.Join(r.dir, "naive.sum")} {
		text, err := os.ReadFile(filepath.Join(dir, from))
		if err != nil {
			return none, err
		}
		if err := os.WriteFile(to, text, 0o600); err != nil {
			return none, err
		}
	}
	err := goBuild(ctx, dir, nil, "-modfile", copied, "-mod=mod", "-tags", "lambda.norpc", "-trimpath", "-ldflags", "-s -w", "-o", r.program("naive"), ".")
	if err != nil {
		return none, err
	}
	bundle, err := systemBundle()
	if err != nil {
		return none, err
	}
	trusted, nothing := filepath.Join(r.dir, "system.pem"), filepath.Join(r.dir, "nothing")
	if err := errors.Join(os.WriteFile(trusted, append(bundle, r.amazon.authority.root...), 0o600), os.Mkdir(nothing, 0o700)); err != nil {
		return none, err
	}
	const table = "naive"
	service, err := r.service(ctx, table)
	if err != nil {
		return none, err
	}
	beside := &besideNaive{ring: seal.NewRing(service.Now())}
	service.Keys, service.Mail = beside, beside
	item := store.Write{Key: store.Key{Partition: "ring", Sort: "ring"}, Body: r.amazon.Wrap([]byte(beside.ring.Marshal().Reveal()))}
	if err := service.Store.Commit(ctx, store.NewVersion(), item); err != nil {
		return none, err
	}
	key, err := (&apikey.Registry{Store: service.Store, Now: service.Now}).Create(ctx, apikey.Grant{Client: "bench", Scopes: apikey.Scopes()})
	if err != nil {
		return none, err
	}
	client := mfa.Call{Bearer: key.Reveal()}
	policy, err := mfa.ProfilePolicy("kls")
	if err != nil {
		return none, err
	}
	if _, err := service.PutPolicy(ctx, client, benchOrg, mfa.PolicyChange{Policy: policy, Version: new(int), Acknowledge: true}); err != nil {
		return none, err
	}
	return starter{
		name: "naive", path: r.program("naive"),
		environment: []string{
			"AWS_REGION=" + amazon.Region, "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local", "AWS_LAMBDA_FUNCTION_NAME=naive",
			"AWS_ENDPOINT_URL_DYNAMODB=" + r.amazon.table, "AWS_ENDPOINT_URL_KMS=" + r.amazon.services, "COUNTERSIGN_TABLE=" + table,
			"COUNTERSIGN_KMS_KEY=" + amazon.KeyARN, "COUNTERSIGN_ISSUER=" + issuer, "SSL_CERT_FILE=" + trusted, "SSL_CERT_DIR=" + nothing,
		},
		event: func(ctx context.Context) ([]byte, error) {
			p := r.newPerson(benchOrg)
			a, err := service.StartChallenge(ctx, client, mfa.StartRequest{Org: p.org, User: mfa.Person{ID: p.id, Email: mfa.Some(p.email)}})
			if err != nil {
				return nil, err
			}
			return payload(key.Reveal(), "POST", "/v1/challenges/"+a.Challenge.ID+"/verify", object{"code": beside.code.Reveal()}, service.Now())
		},
	}, nil
}

// A besideNaive has the key ring that is in naive's table, and keeps the code that was sent last.
type besideNaive struct {
	ring *seal.Ring
	code seal.Secret // the code that was sent last
}

// Ring implements seal.Keeper.
func (b *besideNaive) Ring(context.Context) (*seal.Ring, error) { return b.ring, nil }

// Reload implements seal.Keeper.
func (b *besideNaive) Reload(context.Context) (*seal.Ring, error) { return b.ring, nil }

// SendMail implements mfa.Mailer.
func (b *besideNaive) SendMail(_ context.Context, m message.Message) error {
	b.code = m.Code
	return nil
}

// systemBundle returns the roots that this machine trusts, from one of the files in which Go looks for them on Linux.
func systemBundle() ([]byte, error) {
	for _, path := range []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"} {
		if bundle, err := os.ReadFile(path); err == nil {
			return bundle, nil
		}
	}
	return nil, errors.New("this machine has none of the usual files of trusted roots")
}

func (r *rig) systemRoots() int {
	bundle, err := systemBundle()
	if err != nil {
		return 0
	}
	return bytes.Count(bundle, []byte("BEGIN CERTIFICATE"))
}
