package mfa_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
	"countersign/pkg/store"
)

func put(t *testing.T, w *mfatest.World, p mfa.Person) mfa.User {
	t.Helper()
	u, err := w.PutUser(t.Context(), w.Client, org, p)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// said returns the facts about a user as one line of text.
func said(u mfa.User) string {
	text := []string{u.ID}
	for _, v := range []*string{u.Email, u.Phone, u.Name, u.Locale} {
		if v == nil {
			text = append(text, "-")
		} else {
			text = append(text, *v)
		}
	}
	return strings.Join(text, " ")
}

func TestAUserFollowsTheClientsDirectory(t *testing.T) {
	w := kls(t, nil)
	null := mfa.Optional[string]{Set: true}
	for _, c := range []struct {
		change mfa.Person
		want   string
	}{
		{mfa.Person{ID: user}, "u-17 - - - -"},
		{mfa.Person{ID: user, Email: mfa.Some(mail), Phone: mfa.Some("+33612345678"), Name: mfa.Some("Ana"), Locale: mfa.Some("fr-CA")}, "u-17 ana@acme.example +33612345678 Ana fr-CA"},
		{mfa.Person{ID: user}, "u-17 ana@acme.example +33612345678 Ana fr-CA"},
		{mfa.Person{ID: user, Name: mfa.Some("Anna")}, "u-17 ana@acme.example +33612345678 Anna fr-CA"},
		{mfa.Person{ID: user, Phone: null, Locale: null}, "u-17 ana@acme.example - Anna -"},
		{mfa.Person{ID: user, Email: null, Name: null}, "u-17 - - - -"},
	} {
		if got := said(put(t, w, c.change)); got != c.want {
			t.Errorf("put: got %s, want %s", got, c.want)
		}
		got, err := w.GetUser(t.Context(), w.Client, org, user)
		if err != nil || said(got) != c.want {
			t.Errorf("get: got %s, %v, want %s", said(got), err, c.want)
		}
		status := mfa.Unprotected
		if got.Email != nil {
			status = mfa.Protected
		}
		if got.Status != status || !got.Required || len(got.Factors) != 0 || got.Factors == nil {
			t.Errorf("got %+v, want %s", got, status)
		}
	}
}

var badValues = map[string][]string{
	"email": {"", "ana", "@acme.example", "ana@", "a b@acme.example", "ana@acme..example", ".ana@acme.example", "ana@-acme.example",
		"ana@acme.example\r\nBcc: all@acme.example", "Ana <ana@acme.example>", "ana@acme.example,bob@acme.example", "añ@acme.example",
		"ana@" + strings.Repeat("a", 64) + ".example", strings.Repeat("a", 65) + "@acme.example", "ana@" + strings.Repeat("a.", 124) + "example"},
	"phone":  {"", "0612345678", "+0612345678", "+33 6 12 34 56 78", "+33612", "+3361234567890123", "+336123456a", "٠٦١٢٣٤٥٦٧٨"},
	"name":   {"", "A\nna", "\x00", "\xff", strings.Repeat("a", 201)},
	"locale": {"", "f", "fr_FR", "fr fr", strings.Repeat("a", 36), "français"},
}

func person(field, value string) mfa.Person {
	p := mfa.Person{ID: user}
	switch field {
	case "email":
		p.Email = mfa.Some(value)
	case "phone":
		p.Phone = mfa.Some(value)
	case "name":
		p.Name = mfa.Some(value)
	case "locale":
		p.Locale = mfa.Some(value)
	}
	return p
}

func TestABadValueIsRefusedWhereTheDirectoryIsPut(t *testing.T) {
	w := kls(t, nil)
	for field, values := range badValues {
		for _, value := range values {
			_, err := w.PutUser(t.Context(), w.Client, org, person(field, value))
			if e := mfa.AsError(err); e.Code != mfa.InvalidRequest || e.Param != field {
				t.Errorf("%s %q: got %v", field, value, err)
			}
		}
	}
	_, err := w.GetUser(t.Context(), w.Client, org, user)
	wantCode(t, err, mfa.NotFound)
}

func TestABadValueNeverBlocksASignInAndIsTold(t *testing.T) {
	for field, values := range badValues {
		w := kls(t, nil)
		put(t, w, mfa.Person{ID: user, Email: mfa.Some(mail), Phone: mfa.Some("+33612345678"), Name: mfa.Some("Ana"), Locale: mfa.Some("fr")})
		for _, value := range values {
			answer, err := w.StartChallenge(t.Context(), w.Client, mfa.StartRequest{Org: org, User: person(field, value)})
			if err != nil || answer.Decision.Decision != mfa.Challenge {
				t.Errorf("%s %q: got %+v, %v", field, value, answer.Decision, err)
			}
		}
		got, err := w.GetUser(t.Context(), w.Client, org, user)
		if want := "u-17 ana@acme.example +33612345678 Ana fr"; err != nil || said(got) != want {
			t.Errorf("got %s, %v, want %s", said(got), err, want)
		}
		told := events(t, w, mfa.UserUpdated)
		if len(told) != len(values) || told[0].Data["dropped"] != field || told[0].User != user {
			t.Errorf("%s: got %d events, want %d: %+v", field, len(told), len(values), told)
		}
	}
}

func TestGoodValuesAreTaken(t *testing.T) {
	w := kls(t, nil)
	for field, values := range map[string][]string{
		"email":  {"a@b", "ana+tag@acme.example", "o'neil@acme.example", strings.Repeat("a", 64) + "@acme.example", "ana@xn--bcher-kva.example"},
		"phone":  {"+1234567", "+123456789012345"},
		"name":   {"Ана", "Ana \u202e", "{{name}}", "<b>", strings.Repeat("a", 200)},
		"locale": {"fr", "en-GB", "zh-Hant-TW"},
	} {
		for _, value := range values {
			if got := put(t, w, person(field, value)); !strings.Contains(said(got), value) {
				t.Errorf("%s %q: got %s", field, value, said(got))
			}
		}
	}
}

func TestAUserIsMadeOnFirstSight(t *testing.T) {
	w := kls(t, nil)
	started(t, w, ana())
	if got, err := w.GetUser(t.Context(), w.Client, org, user); err != nil || said(got) != "u-17 ana@acme.example - Ana -" {
		t.Errorf("got %s, %v", said(got), err)
	}
	w.SetPolicy(t, org, "default", nil)
	if _, err := w.StartChallenge(t.Context(), w.Client, mfa.StartRequest{Org: org, User: mfa.Person{ID: "u-18"}}); err != nil {
		t.Fatal(err)
	}
	if got, err := w.GetUser(t.Context(), w.Client, org, "u-18"); err != nil || said(got) != "u-18 - - - -" {
		t.Errorf("not asked: got %s, %v", said(got), err)
	}
	if _, err := w.Decide(t.Context(), w.Client, mfa.StartRequest{Org: org, User: mfa.Person{ID: "u-19"}}); err != nil {
		t.Fatal(err)
	}
	_, err := w.GetUser(t.Context(), w.Client, org, "u-19")
	wantCode(t, err, mfa.NotFound)
}

func TestAUserWithoutAnAddressHasNothingToBeSent(t *testing.T) {
	w := kls(t, nil)
	for _, purpose := range []string{mfa.SignIn, mfa.StepUp} {
		_, err := w.StartChallenge(t.Context(), w.Client, mfa.StartRequest{Org: org, User: mfa.Person{ID: user}, Purpose: purpose})
		wantCode(t, err, mfa.NothingToSend)
	}
}

func TestABadIdIsRefused(t *testing.T) {
	w := kls(t, nil)
	for _, id := range []string{"", " u", "u ", "u\n", "u\x00", "\xff", "\u2003u", "a\u0085b", strings.Repeat("a", 129)} {
		q := ana()
		q.User.ID = id
		_, err := w.StartChallenge(t.Context(), w.Client, q)
		if e := mfa.AsError(err); e.Code != mfa.InvalidRequest || e.Param != "user.id" {
			t.Errorf("user %q: got %v", id, err)
		}
		q = ana()
		q.Org = id
		_, err = w.StartChallenge(t.Context(), w.Client, q)
		if e := mfa.AsError(err); e.Code != mfa.InvalidRequest || e.Param != "org" {
			t.Errorf("org %q: got %v", id, err)
		}
		_, err = w.GetUser(t.Context(), w.Client, org, id)
		wantCode(t, err, mfa.InvalidRequest)
		wantCode(t, w.EraseUser(t.Context(), w.Client, id, user), mfa.InvalidRequest)
	}
	for _, id := range []string{"a", strings.Repeat("a", 128), "a b", "é", "{}", "~YQ"} {
		q := ana()
		q.User.ID = id
		started(t, w, q)
	}
}

func TestL6IdsNeverRunIntoEachOther(t *testing.T) {
	w := mfatest.New(t)
	type who struct{ org, user string }
	people := []who{{"a#b", "c"}, {"a", "b#c"}, {"a#b#c", "c"}, {"a", "b"}, {"ab", "c"}, {"a", "bc"}, {"x", "Alice"}, {"x", "alice"}, {"X", "alice"}, {"x", "\u00c5"}, {"x", "A\u030a"}}
	for i, p := range people {
		if i == 0 || p.org != people[i-1].org {
			w.SetPolicy(t, p.org, "kls", nil)
		}
	}
	for i, p := range people {
		q := mfa.StartRequest{Org: p.org, User: mfa.Person{ID: p.user, Email: mfa.Some(fmt.Sprintf("user%d@acme.example", i))}}
		answer, err := w.StartChallenge(t.Context(), w.Client, q)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := verify(t, w, answer.Challenge.ID, w.Outbox.Code(t, fmt.Sprintf("user%d@acme.example", i)), true); err != nil {
			t.Fatal(err)
		}
	}
	for i, p := range people {
		u, err := w.GetUser(t.Context(), w.Client, p.org, p.user)
		if err != nil || *u.Email != fmt.Sprintf("user%d@acme.example", i) || len(u.TrustedBrowsers) != 1 {
			t.Errorf("%q: got %+v, %v", p, u, err)
		}
	}
	if err := w.EraseUser(t.Context(), w.Client, "a", "b#c"); err != nil {
		t.Fatal(err)
	}
	for _, p := range people {
		_, err := w.GetUser(t.Context(), w.Client, p.org, p.user)
		if (err != nil) != (p == people[1]) {
			t.Errorf("after the erasure of %q: %q got %v", people[1], p, err)
		}
	}
}

// everything returns all that the store holds about a user and in the roster of the org.
func everything(t *testing.T, w *mfatest.World, org, user string) (text string) {
	t.Helper()
	o, u := sha256.Sum256(seal.Join(org)), sha256.Sum256(seal.Join(org, user))
	name := func(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
	partitions := []string{"u#" + name(append(o[:16:16], u[:16]...))}
	for shard := range 16 {
		partitions = append(partitions, fmt.Sprintf("roster#%s#%x", name(o[:16]), shard))
	}
	for hour := range 24 * 31 {
		for shard := range 4 {
			partitions = append(partitions, fmt.Sprintf("due#%s#%d", w.Clock.Now().Add(time.Duration(hour)*time.Hour).UTC().Format("2006-01-02T15"), shard))
		}
	}
	for _, p := range partitions {
		page, err := w.Store.Query(t.Context(), store.Query{Partition: p})
		if err != nil || page.More {
			t.Fatal(err, page.More)
		}
		for _, item := range page.Items {
			text += p + " " + item.Key.Sort + " " + string(item.Body) + "\n"
		}
	}
	return text
}

func TestAnErasureLeavesNothingReadable(t *testing.T) {
	w := kls(t, func(p *mfa.Policy) { p.Trust.Cap = 50 })
	for range 45 { // more than one commit can delete
		trusted(t, w)
		w.Clock.Advance(time.Hour)
	}
	asStored := func(text string) string { return string(byte(0x60+len(text))) + text } // RFC 8949 section 3: a short text follows its length
	secrets := []string{asStored(user), mail, asStored("Ana"), "Firefox", asStored(org)}
	before := everything(t, w, org, user)
	for _, s := range secrets {
		if !strings.Contains(before, s) {
			t.Fatalf("%q is not found before the erasure: the test looks in the wrong place", s)
		}
	}
	if n := strings.Count(before, "browser#"); n != 45 {
		t.Fatalf("got %d browsers, want 45", n)
	}
	for range 2 { // erasing a user who doesn't exist succeeds
		if err := w.EraseUser(t.Context(), w.Client, org, user); err != nil {
			t.Fatal(err)
		}
	}
	after := everything(t, w, org, user)
	for _, s := range append(secrets, "guard", "browser#", "roster#") {
		if strings.Contains(after, s) {
			t.Errorf("after the erasure: got %q in %s", s, after)
		}
	}
	_, err := w.GetUser(t.Context(), w.Client, org, user)
	wantCode(t, err, mfa.NotFound)
	if got := events(t, w, mfa.UserErased); len(got) != 1 || got[0].User != user || got[0].Org != org {
		t.Errorf("got %+v, want one user.erased", got)
	}
}

func TestL4AUserMadeAgainInheritsNothing(t *testing.T) {
	w := kls(t, nil)
	token := trusted(t, w)
	ch := started(t, w, ana())
	code := w.Outbox.Code(t, mail)
	wrongs(t, w, ch.ID, 4)
	if err := w.EraseUser(t.Context(), w.Client, org, user); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err := verify(t, w, ch.ID, code, false)
		wantCode(t, err, mfa.ChallengeInvalid)
		_, err = send(t, w, ch.ID)
		wantCode(t, err, mfa.ChallengeInvalid)
		wantReason(t, w, token, mfa.NewBrowser)
		put(t, w, mfa.Person{ID: user, Email: mfa.Some(mail)})
	}
	u, err := w.GetUser(t.Context(), w.Client, org, user)
	if err != nil || len(u.TrustedBrowsers) != 0 || u.Name != nil {
		t.Errorf("got %+v, %v, want nothing of the user before", u, err)
	}
	used(t, w, trusted(t, w))
}

func TestAnErasureThatWasCutOffIsTakenUpByTheNext(t *testing.T) {
	for name, before := range map[string]func(*testing.T, *mfatest.World, *mfatest.Authenticator){
		"browsers carry the user's epoch": func(*testing.T, *mfatest.World, *mfatest.Authenticator) {},
		"browsers carry a word of their own, since trust has died alone": func(t *testing.T, w *mfatest.World, a *mfatest.Authenticator) {
			if _, err := w.SetEnabled(t.Context(), stepUp(t, w, a), org, user, false); err != nil {
				t.Fatal(err)
			}
			if _, err := w.SetEnabled(t.Context(), w.Fresh(), org, user, true); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, a := protected(t, func(p *mfa.Policy) { p.Trust.Cap = 50 })
			before(t, w, a)
			var tokens []seal.Secret
			for range 30 {
				tokens = append(tokens, trustedByApp(t, w, a))
				w.Clock.Advance(time.Hour)
			}
			failLater(w, "commit", 1)
			if err := w.EraseUser(t.Context(), w.Client, org, user); mfa.AsError(err).Code != mfa.Unavailable {
				t.Fatalf("got %v, want unavailable", err)
			}
			w.Faults.Clear()
			if after := everything(t, w, org, user); !strings.Contains(after, "browser#") {
				t.Fatal("nothing is left that the next erasure could take up")
			}
			for _, token := range tokens {
				if answer, err := w.StartChallenge(t.Context(), w.Client, with(token)); err != nil || answer.Reason == mfa.BrowserTrust {
					t.Fatalf("between the two: got %+v, %v, want no browser trusted", answer.Decision, err)
				}
			}
			if err := w.EraseUser(t.Context(), w.Client, org, user); err != nil {
				t.Fatal(err)
			}
			if after := everything(t, w, org, user); strings.Contains(after, "browser#") || strings.Contains(after, mail) {
				t.Errorf("got %s", after)
			}
		})
	}
}

func TestOnlyAKeyThatManagesThatOrgTouchesAUser(t *testing.T) {
	w := kls(t, nil)
	started(t, w, ana())
	for name, call := range map[string]mfa.Call{
		"sign_in": w.NewClient(t, apikey.Grant{Client: "app", Scopes: []apikey.Scope{apikey.SignIn, apikey.Admin}}),
		"another": w.NewClient(t, apikey.Grant{Client: "app", Scopes: apikey.Scopes(), Org: "globex"}),
	} {
		answers := map[string]error{}
		_, answers["get"] = w.GetUser(t.Context(), call, org, user)
		_, answers["put"] = w.PutUser(t.Context(), call, org, mfa.Person{ID: user, Name: mfa.Some("Bob")})
		answers["erase"] = w.EraseUser(t.Context(), call, org, user)
		for what, err := range answers {
			if mfa.AsError(err).Code != mfa.Forbidden {
				t.Errorf("%s, %s: got %v, want forbidden", what, name, err)
			}
		}
	}
	if u, err := w.GetUser(t.Context(), w.Client, org, user); err != nil || *u.Name != "Ana" {
		t.Errorf("got %+v, %v, want nothing changed", u, err)
	}
}

func TestABearerThatIsNoKeyOfOursIsUnauthenticated(t *testing.T) {
	w := kls(t, nil)
	key := w.Client.Bearer
	altered := key[:10] + string('A'+(key[10]+1)%26) + key[11:]
	unknown := mfatest.New(t).Client.Bearer
	ch := started(t, w, ana())
	for _, bearer := range []string{"", "x", key[:len(key)-1], key + "A", strings.ToUpper(key), " " + key, altered, unknown, ch.Token.Reveal(), "csk_" + ch.Token.Reveal()[4:]} {
		call := mfa.Call{Bearer: bearer}
		answers := []error{w.EraseUser(t.Context(), call, org, user)}
		_, err := w.StartChallenge(t.Context(), call, ana())
		answers = append(answers, err)
		_, err = w.Decide(t.Context(), call, ana())
		answers = append(answers, err)
		_, err = w.GetPolicy(t.Context(), call, org)
		answers = append(answers, err)
		for i, err := range answers {
			if mfa.AsError(err).Code != mfa.Unauthenticated {
				t.Errorf("%q, call %d: got %v, want unauthenticated", bearer, i, err)
			}
		}
	}
}

func TestAUserReadsBackAsJSON(t *testing.T) {
	w := kls(t, nil)
	body, err := json.Marshal(put(t, w, mfa.Person{ID: user, Email: mfa.Some(mail)}))
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(body, &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"id", "email", "phone", "name", "locale", "enabled", "enforced", "required", "status", "factors", "recovery", "trusted_browsers", "grace_until", "locked_until"} {
		if _, ok := fields[name]; !ok {
			t.Errorf("%s is missing", name)
		}
	}
	if got := fmt.Sprint(fields["factors"], fields["trusted_browsers"]); got != "[] []" || !slices.Contains([]any{"protected"}, fields["status"]) {
		t.Errorf("got %s", body)
	}
}

func TestAChangeOfAUserNamesTheFieldsThatChanged(t *testing.T) {
	w := mfatest.New(t)
	said := func(value string) mfa.Optional[string] { return mfa.Some(value) }
	before := mfa.Person{ID: user, Email: said(mail), Phone: said("+33612345678"), Name: said("Ana"), Locale: said("en")}
	for name, next := range map[string]mfa.Person{
		"[email]":               {ID: user, Email: said("ana@other.example")},
		"[phone]":               {ID: user, Phone: said("+33612345679")},
		"[name]":                {ID: user, Name: said("Anna")},
		"[locale]":              {ID: user, Locale: said("fr")},
		"[email phone]":         {ID: user, Email: said("ana@other.example"), Phone: said("+33612345679")},
		"[name locale]":         {ID: user, Name: said("Anna"), Locale: said("fr"), Email: said(mail)},
		"nothing that is other": {ID: user, Email: said(mail), Phone: said("+33612345678"), Name: said("Ana"), Locale: said("en")},
	} {
		for what, put := range map[string]func(mfa.Person) error{
			"put": func(p mfa.Person) error {
				_, err := w.PutUser(t.Context(), w.Client, org, p)
				return err
			},
			"start": func(p mfa.Person) error {
				_, err := w.StartChallenge(t.Context(), w.Client, mfa.StartRequest{Org: org, User: p})
				return err
			},
		} {
			if _, err := w.PutUser(t.Context(), w.Client, org, before); err != nil {
				t.Fatal(err)
			}
			seen := len(events(t, w, mfa.UserUpdated))
			if err := put(next); err != nil {
				t.Fatal(err)
			}
			got := events(t, w, mfa.UserUpdated)[seen:]
			if name[0] == '[' && (len(got) != 1 || fmt.Sprint(got[0].Data["changed"]) != name) || name[0] != '[' && len(got) != 0 {
				t.Errorf("%s by a %s: got %+v", name, what, got)
			}
		}
	}
}

func TestAContactIsAsLongAsItMayBeAndNoLonger(t *testing.T) {
	host := strings.Repeat(strings.Repeat("d", 62)+".", 3) // 189 bytes
	for _, c := range []struct {
		said mfa.Person
		good bool
	}{
		{mfa.Person{Phone: mfa.Some("+1234567")}, true},
		{mfa.Person{Phone: mfa.Some("+123456")}, false},
		{mfa.Person{Phone: mfa.Some("+123456789012345")}, true},
		{mfa.Person{Phone: mfa.Some("+1234567890123456")}, false},
		{mfa.Person{Phone: mfa.Some("+0234567")}, false},
		{mfa.Person{Email: mfa.Some(strings.Repeat("a", 64) + "@d.example")}, true},
		{mfa.Person{Email: mfa.Some(strings.Repeat("a", 65) + "@d.example")}, false},
		{mfa.Person{Email: mfa.Some(strings.Repeat("a", 254-190-1) + "@" + host + "d")}, true},
		{mfa.Person{Email: mfa.Some(strings.Repeat("a", 254-190) + "@" + host + "d")}, false},
	} {
		w := mfatest.New(t)
		c.said.ID = user
		if _, err := w.PutUser(t.Context(), w.Client, org, c.said); (err == nil) != c.good {
			t.Errorf("%+v: got %v, want it taken: %v", c.said, err, c.good)
		}
	}
}
