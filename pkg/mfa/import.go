package mfa

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/seal"
	"countersign/pkg/store"
	"countersign/pkg/store/record"
)

// An ImportedUser is a user of another system, with what the user has enrolled there. Fields of the profile that are absent or null
// stay as they are.
type ImportedUser struct {
	Person
	TOTPURIs []seal.Secret     `json:"totp_uris"` // as apps read them: otpauth://totp/…
	WebAuthn []ImportedPasskey `json:"webauthn"`
}

// An ImportedPasskey is a security key or a passkey that was registered elsewhere for the same RP ID. Bytes are in base64url.
type ImportedPasskey struct {
	ID             string   `json:"id"`         // the credential id
	PublicKey      string   `json:"public_key"` // a COSE_Key (RFC 9052)
	Counter        uint32   `json:"counter"`    // the signature counter of its last response
	RPID           string   `json:"rp_id"`
	Transports     []string `json:"transports"`
	UserHandle     string   `json:"user_handle"`     // the one that it was registered with
	BackupEligible *bool    `json:"backup_eligible"` // nil if that isn't known; it is then learned when the key is used first
	Label          string   `json:"label"`
}

// An ImportRequest has lines of an import. A line that couldn't be read has Refused in place of a user.
type ImportRequest struct {
	Lines  []ImportLine
	DryRun bool // answer the same, and change nothing
}

// An ImportLine is one user of an import.
type ImportLine struct {
	ImportedUser
	Refused *Error // why the line can't be read; nil if it was read
}

// An Imported says what happened to one line. Its place in the answer is that of the line in the request.
type Imported struct {
	Line    int          `json:"line"` // from 1
	User    string       `json:"user,omitempty"`
	Result  ImportResult `json:"result"`
	Factors []Kind       `json:"factors,omitempty"` // the kinds of the factors that were added

	// Why the line was refused, as in a problem document.
	Code   ErrorCode `json:"code,omitempty"`
	Param  string    `json:"param,omitempty"`
	Detail string    `json:"detail,omitempty"`
}

// An ImportResult is what happened to a line of an import.
type ImportResult string

// The results.
const (
	ImportCreated   ImportResult = "created"   // the user is new
	ImportUpdated   ImportResult = "updated"   // the user was there, and has got something
	ImportUnchanged ImportResult = "unchanged" // the same line was imported before, or says nothing new
	ImportRefused   ImportResult = "refused"   // nothing of the line was taken
	ImportLeft      ImportResult = "left"      // there was no time for it: send it again
)

const (
	mostImported = 6   // factors on one line, so that all of it is one commit
	mostMarks    = 100 // what is remembered of the imports of one user; the oldest is forgotten
	// mostRemembered is how many bytes an answer may have to be remembered, in the two forms in which it is kept. It leaves room for
	// the rest of the item.
	mostRemembered = store.MaxItem - 4<<10
	// importMargin is how long before the end of its time an import begins no further line. It is enough for the lines that are under
	// way.
	importMargin = 4 * time.Second
)

// Import takes over users from another system, each line in a commit of its own. It needs the scope admin. A line that can't be taken
// is refused as a whole, and the others go on. If the time of the call is nearly over, the lines that are left are answered with
// ImportLeft. A line that was taken before changes nothing, whatever has happened to the user since: a factor that was removed or
// reset doesn't come back. So a caller can send everything again that it has no answer for. With an Idempotency-Key the answer of
// a few hundred lines is remembered too; a longer one is not.
//
// A user who was there before is told of each factor that is added. One whom the import makes is not.
func (s *Service) Import(ctx context.Context, call Call, org string, q ImportRequest) ([]Imported, error) {
	if err := checkID("org", org); err != nil {
		return nil, err
	}
	if err := s.mayImport(ctx, call, org); err != nil {
		return nil, err
	}
	whole := call
	call.Replay = nil // no line is a call of its own
	answers := make([]Imported, len(q.Lines))
	var parts [fences][]int // lines whose users have one fence are taken one after the other, since they would only wait for each other
	for i := range q.Lines {
		of := fenceOf(routeOf(org, q.Lines[i].ID))
		parts[of] = append(parts[of], i)
	}
	enough := ctx // for another line
	if deadline, ok := ctx.Deadline(); ok {
		var end context.CancelFunc
		enough, end = context.WithDeadline(ctx, deadline.Add(-importMargin))
		defer end()
	}
	var workers sync.WaitGroup
	for _, part := range parts {
		workers.Go(func() {
			for _, i := range part {
				answers[i] = s.importLine(ctx, enough, call, org, &q.Lines[i], q.DryRun)
				answers[i].Line, answers[i].User = i+1, q.Lines[i].ID
			}
		})
	}
	workers.Wait()
	return answers, s.rememberImport(ctx, whole, org, answers)
}

// mayImport refuses a caller that can't import into the org, and returns a Remembered if the call was made before.
func (s *Service) mayImport(ctx context.Context, call Call, org string) error {
	anew := refuse(Busy, "The import has not been made yet.") // which is never remembered
	_, err := run(ctx, s, call, step[[]Imported]{scope: apikey.Admin, org: org, decide: func(*unit) ([]Imported, error) { return nil, anew }})
	if err == error(anew) {
		return nil
	}
	return err
}

// rememberImport remembers the answers for a call with the same Idempotency-Key. It doesn't if lines are left, or if the answers
// are too long for an item. It returns a Remembered if the same call has been answered meanwhile. Each line was committed already,
// so it makes no difference to them if this fails.
func (s *Service) rememberImport(ctx context.Context, call Call, org string, answers []Imported) error {
	left := slices.ContainsFunc(answers, func(a Imported) bool { return a.Result == ImportLeft })
	if call.Replay == nil || left {
		return nil
	}
	if full, later, err := call.Replay.Encode(answers, nil); err != nil || len(full)+len(later) > mostRemembered {
		return err
	}
	_, err := run(ctx, s, call, step[[]Imported]{scope: apikey.Admin, org: org, decide: func(*unit) ([]Imported, error) { return answers, nil }})
	var earlier *Remembered
	if errors.As(err, &earlier) {
		return err
	}
	if err != nil {
		s.log().WarnContext(ctx, "the answer to an import could not be remembered", "error", err)
	}
	return nil
}

// importLine takes one line, if there is enough time for it, and says what happened to it.
func (s *Service) importLine(ctx, enough context.Context, call Call, org string, line *ImportLine, dry bool) Imported {
	if line.Refused != nil {
		return refusedLine(line.Refused)
	}
	if enough.Err() != nil {
		return Imported{Result: ImportLeft}
	}
	answer, err := s.importUser(ctx, call, org, &line.ImportedUser, dry)
	if err == nil {
		return answer
	}
	refused := AsError(err)
	switch refused.Code {
	case Busy, Unavailable: // nothing is wrong with the line
		return Imported{Result: ImportLeft}
	}
	return refusedLine(refused)
}

func refusedLine(e *Error) Imported {
	return Imported{Result: ImportRefused, Code: e.Code, Param: e.Param, Detail: e.Detail}
}

// An importedFactor is a factor that a line brings.
type importedFactor struct {
	mark []byte // by which it is known again
	fill func(q *question) error
	kind Kind

	credential store.Item // who owns the credential id; its key is empty if the factor has none
}

func (s *Service) importUser(ctx context.Context, call Call, org string, line *ImportedUser, dry bool) (Imported, error) {
	person := line.Person.withoutNulls()
	if err := checkID("id", person.ID); err != nil {
		return Imported{}, err
	}
	if bad := new(profile).update(person); len(bad) > 0 {
		return Imported{}, invalid(bad[0], "This is not a valid %s.", bad[0])
	}
	factors, err := s.importedFactors(line)
	if err != nil {
		return Imported{}, err
	}
	var a *account
	var p *orgPolicy
	var passing fence
	r := routeOf(org, person.ID)
	reads := []read{s.readAccount(r, &a), readPolicy(r, org, &p)}
	if len(factors) > 0 {
		reads = append(reads, readFence(r, &passing))
	}
	for i := range factors {
		if at := &factors[i].credential; at.Key.Partition != "" {
			reads = append(reads, readItem(at.Key, at))
		}
	}
	return run(ctx, s, call, step[Imported]{
		scope: apikey.Admin, org: org, reads: reads,
		decide: func(u *unit) (Imported, error) {
			answer, err := u.importUser(a, p, &passing, org, line, person, factors)
			if dry || err != nil { // a line is taken as a whole or not at all
				u.writes, u.events, u.sums, u.told, u.waits = nil, nil, nil, nil, time.Time{}
			}
			return answer, err
		},
	})
}

// importedFactors reads the factors of a line.
func (s *Service) importedFactors(line *ImportedUser) (factors []importedFactor, err error) {
	if len(line.TOTPURIs)+len(line.WebAuthn) > mostImported {
		return nil, invalid("", "A line can have at most %d factors.", mostImported)
	}
	for i, uri := range line.TOTPURIs {
		f, err := importedApp(i, uri)
		if err != nil {
			return nil, err
		}
		factors = append(factors, f)
	}
	for i := range line.WebAuthn {
		f, err := s.importedKey(i, &line.WebAuthn[i])
		if err != nil {
			return nil, err
		}
		factors = append(factors, f)
	}
	return factors, nil
}

// importUser decides about one line.
func (u *unit) importUser(a *account, p *orgPolicy, passing *fence, org string, line *ImportedUser, person Person, factors []importedFactor) (Imported, error) {
	there := a.exists()
	if there && a.guard.Deprovisioned {
		return Imported{}, refuse(Forbidden, "The user was deprovisioned. Put the user again first.")
	}
	marked, err := json.Marshal(line.marked())
	if err != nil {
		return Imported{}, err
	}
	if there && a.hasMark("line", marked) {
		return Imported{Result: ImportUnchanged}, nil
	}
	applied := u.applyProfile(a, p, org, person)
	g := a.guard
	answer, events, claims := Imported{Result: ImportUpdated}, []pendingEvent{}, []*question{}
	for i := range factors {
		f := &factors[i]
		if a.hasMark(string(f.kind), f.mark) {
			continue
		}
		q, err := u.importFactor(a, p, f)
		if err != nil {
			return Imported{}, err
		}
		a.addMark(string(f.kind), f.mark)
		answer.Factors = append(answer.Factors, f.kind)
		events = append(events, a.event(FactorEnrolled, p, map[string]any{"factor": q.f.ID, "kind": f.kind}))
		if q.claims != nil {
			claims = append(claims, q)
		}
	}
	a.addMark("line", marked)
	// It is the first item that is put, which holds the events, since an erasure removes it.
	u.writes = slices.Insert(u.writes, 0, store.Write{Key: a.imports.Item.Key, Expect: a.imports.Item.Version, Body: u.encode(&a.imports)})
	u.event(a.event(UserImported, p, map[string]any{"enrolled": len(answer.Factors)}))
	switch {
	case !there:
		answer.Result = ImportCreated
	case len(answer.Factors) == 0 && !applied.changed:
		answer.Result, u.events = ImportUnchanged, nil // only the mark is new
	default:
		for _, e := range events {
			u.event(e)
		}
	}
	if len(answer.Factors) > 0 {
		if err := u.pass(passing, p); err != nil {
			return Imported{}, err
		}
		g.Enabled = true
		if g.recoverySet(p) == nil {
			g.RecoveryCodesDue = p.Recovery.Count > 0
		}
	}
	if len(answer.Factors) > 0 || applied.relist {
		u.putRosterEntry(a)
	}
	u.putGuard(a, p)
	for _, q := range claims { // after the others, since they outlive the user, and the first item that is put holds the events
		u.put(q.owner, q.claims, time.Time{})
	}
	return answer, nil
}

// importFactor makes a factor of a line count.
func (u *unit) importFactor(a *account, p *orgPolicy, f *importedFactor) (*question, error) {
	if err := a.mayEnrol(f.kind, &p.Policy); err != nil {
		return nil, err
	}
	kept := &factorRecord{ID: seal.ID("fa_", nil), Kind: f.kind, Created: u.now}
	enrolled := &enrolledFactor{ID: kept.ID, Kind: f.kind}
	q := &question{u: u, v: &challengeView{a: a, p: p}, f: factor{factorRecord: kept}, enrolled: enrolled, owner: f.credential}
	if err := f.fill(q); err != nil {
		return nil, err
	}
	a.guard.Factors, a.guard.ProveAddress = append(a.guard.Factors, *enrolled), ""
	a.factorRecords = append(a.factorRecords, kept)
	u.put(store.Item{Key: factorKey(a.route, kept.ID)}, kept, time.Time{})
	return q, nil
}

// marked returns all that a line says, for the mark by which the line is known again.
func (q *ImportedUser) marked() any {
	uris := []string{}
	for _, uri := range q.TOTPURIs {
		uris = append(uris, uri.Reveal())
	}
	return []any{q.Person, uris, q.WebAuthn}
}

// An importMarks has marks of what was imported for a user, so that it is known again. It is written in the commit of each line, with
// the guard, which decides.
type importMarks struct {
	record.Head
	Marks [][]byte `json:"marks" record:"1"` // the oldest first
}

// mark returns the mark of something that was imported for the user. It is bound to a key of the guard, so nobody who doesn't have that
// key can check a guess, and it is good for nothing once the user is erased.
func (a *account) mark(what string, value []byte) []byte {
	mac := hmac.New(sha256.New, a.guard.ActivityKey)
	mac.Write(seal.Join("import", what, string(value)))
	return mac.Sum(nil)[:markLen]
}

const markLen = 16

func (a *account) hasMark(what string, value []byte) bool {
	mark := a.mark(what, value)
	return slices.ContainsFunc(a.imports.Marks, func(other []byte) bool { return hmac.Equal(other, mark) })
}

func (a *account) addMark(what string, value []byte) {
	marks := append(a.imports.Marks, a.mark(what, value))
	a.imports.Marks = marks[max(0, len(marks)-mostMarks):]
}
