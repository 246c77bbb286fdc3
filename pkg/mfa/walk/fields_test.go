package walk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A meaning is how the walk compares a field. Two states are the same if all their fields are alike.
type meaning struct {
	form string
	why  string // why no stage sets an unmet field
}

var (
	kept   = meaning{form: "kept"}   // alike if the values are equal
	word   = meaning{form: "word"}   // a random value or a digest; alike if equal values stand in the same places
	moment = meaning{form: "moment"} // a time; alike if the values are equal, because the clock moves only where a stage says so
)

// unmet is the meaning of a field that no stage sets, and says why. If a stage sets it some day, the walk fails.
func unmet(why string) meaning { return meaning{form: "unmet", why: why} }

var (
	copied       = unmet("it is copied into what is answered or sent, and decides nothing")
	onBehalf     = unmet("the enrolment that an administrator begins is finished before the calls")
	ofChallenges = unmet("only the slot of a challenge has it")
	waits        = unmet("no stage has more to tell a user than a day has room for")
	noPortal     = unmet("no stage begins a portal session")
	imported     = unmet("only an import sets it, and no stage imports anybody")
	ofFinish     = unmet("it is known when the enrolment is finished, and kept in the record of the factor only")
)

type fieldTable map[string]meaning

// under returns the table of a struct that is a field of another, with the name of this field in front.
func under(name string, inner fieldTable) fieldTable {
	table := fieldTable{}
	for path, m := range inner {
		table[name+"."+path] = m
	}
	return table
}

// all returns a table in which every field of another table has the same meaning.
func all(m meaning, of fieldTable) fieldTable {
	table := fieldTable{}
	for path := range of {
		table[path] = m
	}
	return table
}

func together(tables ...fieldTable) fieldTable {
	whole := fieldTable{}
	for _, t := range tables {
		maps.Copy(whole, t)
	}
	return whole
}

var resetFields = fieldTable{
	"id": word, "by": word, "client": word, "asked": moment, "needs_approval": kept, "approved": kept, "hold_s": kept, "due": moment, "state": kept, "ended": moment,
	"decided_by": word, "self_service": kept, "in_portal": noPortal,
}

// fields gives the meaning of each field of each record that a walk meets. A record has the name of its struct in package
// mfa, and a field has the path under which ctl show prints it. TestEveryFieldOfARecordHasAMeaning finds fields that are
// missing here, and so does a walk that meets one.
var fields = map[string]fieldTable{
	"guard": together(fieldTable{
		"format": kept, "org": kept, "user": kept, "epoch": word, "trust_epoch": word, "known_word": word, "activity_key": word,
		"profile.email":  kept,
		"profile.phone":  unmet("the client says it, and no code is sent there before it is enrolled"),
		"profile.name":   unmet("it is only shown"),
		"profile.locale": unmet("it only chooses the words of a message"),
		"enabled":        kept,
		"enforced":       unmet("an administrator's word only asks for more; the stages that enrol under a policy ask for as much"),
		"deprovisioned":  unmet("it refuses all that begins, as an erasure does"),
		"factors.id":     word, "factors.kind": kept, "factors.used": moment, "factors.step": kept,
		"factors.sign_count": kept, "factors.backed_up": kept, "factors.backup_eligible": imported,
		"recovery.id": word, "recovery.made": moment, "recovery.made_by": word, "recovery.policy_version": kept, "recovery.codes": word,
		"recovery_codes_due": kept,
		"evicted_until":      moment,
		"emails_sent":        moment, "last_uncounted": moment, "notices_sent": moment, "mfa_time": moment, "roster_version": word,
		"texts_sent": moment, "handle": word,
		"pass.id": word, "pass.digest": word, "pass.ends": moment, "pass.made_by": word, "pass.policy_version": kept,
		"deployment_epoch":  unmet("no stage restores the data from a backup"),
		"sessions_ended.at": moment, "sessions_ended.reason": kept,
		"settled": kept, "skips": kept,
		"grace_until": unmet("the policy's date stands for it on the stages about grace"),
	},
		under("returned", all(unmet("feedback is given by the provider, in no call of a user"), fieldTable{"address": word, "at": moment, "state": kept})),
		under("reset", resetFields), fieldTable{"prove_address": kept},
		under("slots", slotFields), under("enrolment_slot", enrolmentSlotFields), under("notices_waiting", noticeFields),
		under("wrong_codes", wrongAnswersFields), under("wrong_recovery_codes", wrongAnswersFields),
	),
	"challenge": together(fieldTable{
		"format": kept, "epoch": word, "life": word, "org": kept, "user": kept, "client": kept, "sender": copied, "bearer": word, "purpose": kept,
		"action": copied, "action_lines": unmet("it is copied into what is answered or sent, and decides nothing"), "return_url": unmet("it is copied into what a page sees, and decides nothing"), "nonce": copied, "reason": kept, "policy_version": kept, "begun": moment, "expires": moment,
		"default": word, "only_kind": kept, "known_browser": kept, "enrolment": word, "recovered": kept, "origins": kept,
		"link.token": word, "link.ends": moment, "link.redeemed_by": unmet("no stage opens the link to a hosted page"),
	}, under("ceremony", ceremonyFields), under("first_factor", fieldTable{"kind": kept, "at": copied, "idp": copied, "amr": copied, "acr": copied}), under("code", codeFields)),
	"enrolment": together(fieldTable{
		"format": kept, "id": word, "epoch": word, "client": kept, "challenge": word, "reason": onBehalf, "begun": moment, "expires": moment,
		"proven": kept, "begins": kept, "variant": kept, "handle": word, "origins": kept, "session": unmet("no stage has a portal session"),
	}, under("ceremony", ceremonyFields), under("code", codeFields), under("code", fieldTable{"not_taken": unmet("only the code of a challenge has it")}), under("factor", factorFields), under("factor", fieldTable{
		"claimed_by": ofFinish,
		"format":     unmet("the record of the factor is written apart once the enrolment is finished"),
		"created":    unmet("it is set when the enrolment is finished"),
	}), under("factor.passkey", all(ofFinish, passkeyFields)), under("actor", fieldTable{"kind": onBehalf, "id": onBehalf})),
	"factorRecord":    together(factorFields, fieldTable{"claimed_by": word}, under("passkey", passkeyFields)),
	"credentialOwner": {"format": kept, "route": word, "factor": word},
	"browser": {
		"format": kept, "id": word, "epoch": word, "name": kept, "kind": kept, "policy_version": kept, "created": moment, "ends": moment,
		"last_used": moment, "generation": kept, "key": kept,
	},
	"handle":      {"format": kept, "kind": kept, "token": word, "ends": moment, "redeemed_by": word, "expires": moment},
	"cancelToken": {"format": kept, "of": word},
	"resetRecord": together(fieldTable{
		"format": kept, "user": kept, "by.org": kept, "by.user": kept, "client": kept, "reason": kept, "approved_by.org": kept, "approved_by.user": kept,
	}, under("request", resetFields)),
	"rosterEntry": {"format": kept, "user": kept, "email": kept, "kinds": kept, "enabled": kept, "enforced": unmet("no stage enforces 2FA"), "name": unmet("it is only shown"), "address": kept, "grace_until": unmet("the policy's date stands for it on the stages about grace")},
	"expiryEntry": {"format": kept, "route": word, "browser": word, "epoch": word, "due": moment, "reset": kept, "announced": unmet("only the sweep sets it"), "notices": unmet("publishing sets it, which follows a commit")},
	"remembered":  {"format": kept, "body": word, "until": moment, "full": word, "later": word, "needs": kept},
	"erased":      {"format": kept, "at": moment},
	"fence":       {"format": kept, "version": kept},
}

var (
	slotFields = fieldTable{
		"id": word, "begun": moment, "until": moment, "sequence": kept, "wrong": kept, "state": kept, "ended_at": moment, "written_by": word,
		"kind": kept, "browser": word, "known_tokens_ended": kept, "proven": kept, "factor": word, "effect": kept, "codes_left": kept,
		"amr": kept, "later": kept,
	}
	enrolmentSlotFields = together(slotFields, fieldTable{
		"browser": ofChallenges, "known_tokens_ended": ofChallenges, "proven": ofChallenges, "effect": ofChallenges, "codes_left": ofChallenges,
		"amr": ofChallenges, "later": ofChallenges,
	})
	ceremonyFields = fieldTable{"challenge": word, "origin": kept, "user_verification": kept, "expires": moment, "number": kept}
	passkeyFields  = fieldTable{
		"id": word, "public_key": word, "transports": kept, "attachment": kept, "aaguid": word, "backup_eligible": kept, "discoverable": kept, "variant": kept,
		"backup_unknown": imported, "handle": imported,
	}
	codeFields = fieldTable{
		"factor": word, "sequence": kept, "digest": word, "sent": moment, "resend_after": moment, "expires": moment, "not_taken": kept,
	}
	factorFields = fieldTable{
		"format": kept, "id": word, "kind": kept, "label": unmet("it is only shown"), "created": moment, "contact": kept, "secret": word,
		"country": kept, "app.algorithm": imported, "app.period": imported,
	}
	attemptsFields     = fieldTable{"at": moment, "locks": kept, "until": moment}
	wrongAnswersFields = together(attemptsFields, fieldTable{"in_a_row": kept}, under("known_browsers", attemptsFields))
	noticeFields       = fieldTable{
		"address": waits, "name": waits, "language": waits, "client": waits, "channel": waits, "cap": waits,
		"items.topic": waits, "items.kind": waits, "items.times": waits, "items.last": waits,
	}
)

// unwalked are the records that no walk meets, and why.
var unwalked = map[string]string{
	"orgPolicy":        "the walk compares its whole body, on stages that save one",
	"portalSession":    "no stage begins a portal session",
	"seenOrg":          "it is written with the policy, before the calls, and decides about no user",
	"adoptionDay":      "only the sweep writes it, and it decides about no user",
	"lockNote":         "publishing follows a commit, and it decides about no user",
	"countCursor":      "only the sweep has it, which is no call of a user",
	"orgErasure":       "no call of a user writes it, and what it does to a user is an erasure",
	"eventBatch":       "it rides on an item of a commit, and is read when the commit is published, which follows it",
	"sweepCursor":      "only the sweep has it, which is no call of a user",
	"importMarks":      "only an import writes it, which is no call of a user",
	"checkpointCursor": "only the sweep has it, which is no call of a user",
	"claim":            "publishing follows a commit, and lets nobody in",
	"replayed":         "an operator writes it who hands on what publish gave up, and it decides about no user",
	"publishedKeys":    "it is a copy of the ring's public half",
	"fanOut":           "the save of a policy leaves it for the sweep, and it decides about no user",
}

// meet compares a record of this name, as ctl show prints it, with the table of its fields.
func (p *props) meet(name string, shown []byte) error {
	table, ok := fields[name]
	if !ok {
		return fmt.Errorf("the walk meets a %s, and no table says what its fields mean", name)
	}
	var whole any
	d := json.NewDecoder(bytes.NewReader(shown))
	d.UseNumber()
	if err := d.Decode(&whole); err != nil {
		return err
	}
	return p.meetIn(name, table, "", whole)
}

func (p *props) meetIn(name string, table fieldTable, path string, value any) error {
	switch value := value.(type) {
	case map[string]any:
		for field, inner := range value {
			if err := p.meetIn(name, table, strings.TrimPrefix(path+"."+field, "."), inner); err != nil {
				return err
			}
		}
		return nil
	case []any:
		for _, inner := range value {
			if err := p.meetIn(name, table, path, inner); err != nil {
				return err
			}
		}
		return nil
	}
	text := fmt.Sprint(value)
	made := string(p.renamed([]byte(text))) != text
	m, ok := table[path]
	switch {
	case !ok:
		return fmt.Errorf("%s: the walk meets the field %q, and no table says what it means", name, path)
	case m.form == "unmet":
		return fmt.Errorf("%s: the walk meets %q, and its table says that no stage sets it: %s", name, path, m.why)
	case m == kept && made:
		return fmt.Errorf("%s: %q holds %s, which is made at random", name, path, text)
	case m == moment && !isMoment(text):
		return fmt.Errorf("%s: %q holds %s, which is no time", name, path, text)
	}
	p.coverage.field(name + "." + path)
	return nil
}

func isMoment(text string) bool {
	_, notText := time.Parse(time.RFC3339, text)
	_, notNumber := strconv.ParseInt(text, 10, 64)
	return notText == nil || notNumber == nil
}

func TestAFieldThatHasNoMeaningIsMetWithAnError(t *testing.T) {
	p := &props{coverage: newCoverage()}
	for _, x := range []struct{ name, shown, want string }{
		{"guard", `{"org":"acme","slots":[{"id":"0123456789abcdefghijkl","wrong":1}]}`, ""},
		{"guard", `{"org":"acme","colour":"red"}`, `the field "colour", and no table`},
		{"guard", `{"slots":[{"wrong":1},{"colour":"red"}]}`, `the field "slots.colour", and no table`},
		{"guard", `{"enforced":true}`, "no stage sets it"},
		{"guard", `{"org":"0123456789abcdefghijkl"}`, "made at random"},
		{"guard", `{"mfa_time":"noon"}`, "no time"},
		{"visitor", `{}`, "a visitor, and no table"},
	} {
		err := p.meet(x.name, []byte(x.shown))
		if x.want == "" && err != nil || x.want != "" && (err == nil || !strings.Contains(err.Error(), x.want)) {
			t.Errorf("%s %s: got %v, want %q", x.name, x.shown, err, x.want)
		}
	}
}

func TestEveryFieldOfARecordHasAMeaning(t *testing.T) {
	records := declared(t)
	for name, paths := range records {
		table, walked := fields[name]
		if _, told := unwalked[name]; walked == told {
			t.Errorf("%s: its fields have a meaning: %t; no walk comes across it: %t", name, walked, told)
		}
		for path := range table {
			if !slices.ContainsFunc(paths, func(p string) bool { return path == p || strings.HasPrefix(path, p+".") }) {
				t.Errorf("%s has no field %q any more", name, path)
			}
		}
		for _, path := range paths {
			if walked && !slices.ContainsFunc(slices.Collect(maps.Keys(table)), func(p string) bool { return path == p || strings.HasPrefix(p, path+".") }) {
				t.Errorf("%s has a field %q, and no table says what it means to the walk", name, path)
			}
		}
	}
	for _, name := range slices.Concat(slices.Collect(maps.Keys(fields)), slices.Collect(maps.Keys(unwalked))) {
		if records[name] == nil {
			t.Errorf("there is no record %s any more", name)
		}
	}
}

// TestWhatTheInvariantsReadOfAGuardIsThere fails if a field was renamed that the invariants would then read as empty.
func TestWhatTheInvariantsReadOfAGuardIsThere(t *testing.T) {
	var check func(of reflect.Type, within string)
	check = func(of reflect.Type, within string) {
		for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
			of = of.Elem()
		}
		if of.Kind() != reflect.Struct || of == reflect.TypeFor[time.Time]() {
			if _, ok := fields["guard"][within]; !ok {
				t.Errorf("a guard has no field %q", within)
			}
			return
		}
		for i := range of.NumField() {
			f := of.Field(i)
			if !f.IsExported() && !f.Anonymous {
				continue
			}
			if f.Anonymous {
				check(f.Type, within)
				continue
			}
			check(f.Type, strings.TrimPrefix(within+"."+f.Tag.Get("json"), "."))
		}
	}
	check(reflect.TypeFor[guardView](), "")
}

// declared returns the records that the source of package mfa declares: for the name of each struct, the paths of its
// fields. A record is a struct that embeds record.Head.
func declared(t *testing.T) map[string][]string {
	t.Helper()
	structs := map[string]*ast.StructType{}
	files, err := filepath.Glob("../*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if s, ok := spec.Type.(*ast.StructType); ok {
					structs[spec.Name.Name] = s
				}
			}
			return true
		})
	}
	records := map[string][]string{}
	for name, s := range structs {
		if slices.ContainsFunc(s.Fields.List, isHead) {
			records[name] = pathsOf(structs, s, "")
		}
	}
	return records
}

func isHead(f *ast.Field) bool {
	x, ok := f.Type.(*ast.SelectorExpr)
	return ok && len(f.Names) == 0 && x.Sel.Name == "Head"
}

// pathsOf returns the paths of the fields of a struct, and of the structs in it, by the names in their json tags.
func pathsOf(structs map[string]*ast.StructType, s *ast.StructType, within string) (paths []string) {
	for _, f := range s.Fields.List {
		of := f.Type
		for inner := of; inner != nil; {
			of, inner = inner, nil
			switch x := of.(type) {
			case *ast.StarExpr:
				inner = x.X
			case *ast.ArrayType:
				inner = x.Elt
			}
		}
		ident, _ := of.(*ast.Ident)
		var inside *ast.StructType
		if ident != nil {
			inside = structs[ident.Name]
		}
		tag := ""
		if f.Tag != nil {
			tag = reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("json")
		}
		name, _, _ := strings.Cut(tag, ",")
		switch {
		case name == "-":
		case isHead(f):
			paths = append(paths, within+"format")
		case len(f.Names) == 0 && inside != nil:
			paths = append(paths, pathsOf(structs, inside, within)...)
		case inside != nil:
			paths = append(paths, pathsOf(structs, inside, within+name+".")...)
		default:
			paths = append(paths, within+name)
		}
	}
	return paths
}
