package mfa_test

import (
	"bytes"
	"context"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"countersign/pkg/apikey"
	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/passkey/passkeytest"
	"countersign/pkg/seal"
	"countersign/pkg/store"
)

const oldSecret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"

func oldApp(parameters string) seal.Secret {
	return seal.NewSecret("otpauth://totp/Old%20System:ana?secret=" + oldSecret + "&issuer=Old" + parameters)
}

// importing makes a world whose org has the default policy, which allows what is imported.
func importing(t *testing.T) *mfatest.World { return mfatest.New(t) }

// imports imports lines, and returns what happened to them.
func imports(t *testing.T, w *mfatest.World, dry bool, lines ...mfa.ImportedUser) []mfa.Imported {
	t.Helper()
	q := mfa.ImportRequest{DryRun: dry}
	for _, line := range lines {
		q.Lines = append(q.Lines, mfa.ImportLine{ImportedUser: line})
	}
	got, err := w.Import(t.Context(), w.Client, org, q)
	if err != nil || len(got) != len(lines) {
		t.Fatal(len(got), err)
	}
	return got
}

func oldUser(id string, uris ...seal.Secret) mfa.ImportedUser {
	return mfa.ImportedUser{Person: mfa.Person{ID: id, Email: mfa.Some(id + "@acme.example")}, TOTPURIs: uris}
}

// keptOf returns the items of users.
func keptOf(t *testing.T, w *mfatest.World, ids ...string) (items []store.Item) {
	t.Helper()
	for _, id := range ids {
		partition := "u#" + base64.RawURLEncoding.EncodeToString([]byte(seal.Route(org)+seal.Route(org, id)))
		found, err := w.Store.Query(t.Context(), store.Query{Partition: partition})
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, found.Items...)
	}
	return items
}

// imported returns the user whom most of these tests import.
func imported(t *testing.T, w *mfatest.World) mfa.User {
	t.Helper()
	u, err := w.GetUser(t.Context(), w.Client, org, user)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// signsIn starts a sign-in of a user, and verifies it with an answer.
func signsIn(t *testing.T, w *mfatest.World, id string, answer func(*mfa.ChallengeToAnswer) mfa.Answer) error {
	t.Helper()
	begun, err := w.StartChallenge(t.Context(), w.Client, mfa.StartRequest{Org: org, User: mfa.Person{ID: id}})
	if err != nil || begun.Challenge == nil {
		t.Fatalf("got %+v, %v, want a challenge", begun, err)
	}
	_, err = w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: begun.Challenge.ID, Answer: answer(begun.Challenge)})
	return err
}

func TestAnImportedAppKeepsWorkingWithItsAlgorithmAndPeriod(t *testing.T) {
	for parameters, o := range map[string]totp.ValidateOpts{
		"":                                   {Period: 30, Algorithm: otp.AlgorithmSHA1},
		"&algorithm=SHA1&digits=6&period=30": {Period: 30, Algorithm: otp.AlgorithmSHA1},
		"&algorithm=SHA256":                  {Period: 30, Algorithm: otp.AlgorithmSHA256},
		"&algorithm=sha-512&period=60&image=none": {Period: 60, Algorithm: otp.AlgorithmSHA512},
		"&period=60": {Period: 60, Algorithm: otp.AlgorithmSHA1},
	} {
		w := importing(t)
		o.Digits = otp.DigitsSix
		got := imports(t, w, false, oldUser(user, oldApp(parameters)))
		if got[0].Result != mfa.ImportCreated || !slices.Equal(got[0].Factors, []mfa.Kind{mfa.TOTP}) || got[0].Line != 1 || got[0].User != user {
			t.Fatalf("%s: got %+v", parameters, got[0])
		}
		code := func(at time.Time) func(*mfa.ChallengeToAnswer) mfa.Answer {
			return func(*mfa.ChallengeToAnswer) mfa.Answer {
				text, err := totp.GenerateCodeCustom(oldSecret, at, o)
				if err != nil {
					t.Fatal(err)
				}
				return mfatest.CodeAnswer(text)
			}
		}
		now := w.Clock.Now()
		if err := signsIn(t, w, user, code(now)); err != nil {
			t.Errorf("%s: the app's code: got %v", parameters, err)
		}
		if err := signsIn(t, w, user, code(now)); codeOf(err) != mfa.WrongCode {
			t.Errorf("%s: the same code again: got %v, want wrong_code", parameters, err)
		}
		w.Clock.Advance(time.Duration(o.Period) * time.Second)
		if err := signsIn(t, w, user, code(w.Clock.Now())); err != nil {
			t.Errorf("%s: the next code: got %v", parameters, err)
		}
		w.Clock.Advance(10 * time.Minute)
		if err := signsIn(t, w, user, code(w.Clock.Now().Add(-3*time.Duration(o.Period)*time.Second))); codeOf(err) != mfa.WrongCode {
			t.Errorf("%s: an old code: got %v, want wrong_code", parameters, err)
		}
	}
}

// An imported secret must be sealed like all others, and named in no answer, event or record.
func TestE3AnImportedSecretIsFoundNowhere(t *testing.T) {
	w := importing(t)
	imports(t, w, false, oldUser(user, oldApp("")))
	raw, err := base32.StdEncoding.DecodeString(oldSecret)
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range keptOf(t, w, user) {
		if bytes.Contains(item.Body, raw) || bytes.Contains(item.Body, []byte(oldSecret)) {
			t.Errorf("the item %s has the secret", item.Key.Sort)
		}
	}
}

func TestTheSameLineAgainChangesNothingWhateverHasHappenedSince(t *testing.T) {
	w := importing(t)
	line := oldUser(user, oldApp(""))
	imports(t, w, false, line)
	again := func(when string, want mfa.ImportResult, line mfa.ImportedUser) mfa.Imported {
		t.Helper()
		got := imports(t, w, false, line)[0]
		if got.Result != want {
			t.Errorf("%s: got %+v, want %s", when, got, want)
		}
		return got
	}
	again("at once", mfa.ImportUnchanged, line)
	put(t, w, mfa.Person{ID: user, Email: mfa.Some("new@acme.example")})
	again("after a new address", mfa.ImportUnchanged, line)
	if got := *imported(t, w).Email; got != "new@acme.example" {
		t.Errorf("the address is %s again", got)
	}
	other := line
	other.Name = mfa.Some("Ana")
	if got := again("with a name", mfa.ImportUpdated, other); len(got.Factors) != 0 {
		t.Errorf("the app was added twice: %+v", got)
	}
	if _, err := w.ResetUser(t.Context(), w.Client, org, user, mfa.Intervention{Actor: "olga", Reason: "lost"}); err != nil {
		t.Fatal(err)
	}
	again("after a reset", mfa.ImportUnchanged, line)
	other.Name = mfa.Some("Ana Maria")
	again("another line after a reset", mfa.ImportUpdated, other)
	if got := imported(t, w); len(got.Factors) != 0 || got.Enabled {
		t.Errorf("a factor that was reset is there again: %+v", got)
	}
}

func TestAnErasureLeavesNothingOfAnImport(t *testing.T) {
	w := importing(t)
	line := oldUser(user, oldApp(""))
	imports(t, w, false, line)
	if err := w.EraseUser(t.Context(), w.Client, org, user); err != nil {
		t.Fatal(err)
	}
	for _, item := range keptOf(t, w, user) {
		if !strings.HasPrefix(item.Key.Sort, "erased#") {
			t.Errorf("%s is left", item.Key.Sort)
		}
	}
	if got := imports(t, w, false, line)[0]; got.Result != mfa.ImportCreated {
		t.Errorf("the same line after the erasure: got %+v, want a new user", got)
	}
}

func TestADryRunSaysTheSameAndChangesNothing(t *testing.T) {
	w := importing(t)
	before := len(keptOf(t, w, "u-1", "u-2", "u-3"))
	lines := []mfa.ImportedUser{oldUser("u-1", oldApp("")), oldUser("u-2"), oldUser("u-3", oldApp("&digits=8"))}
	dry := imports(t, w, true, lines...)
	if got := len(keptOf(t, w, "u-1", "u-2", "u-3")); got != before {
		t.Errorf("got %d items, want %d as before", got, before)
	}
	if real := imports(t, w, false, lines...); fmt.Sprint(real) != fmt.Sprint(dry) {
		t.Errorf("got %+v, and the dry run said %+v", real, dry)
	}
	for i, want := range []mfa.ImportResult{mfa.ImportCreated, mfa.ImportCreated, mfa.ImportRefused} {
		if dry[i].Result != want {
			t.Errorf("line %d: got %+v, want %s", i+1, dry[i], want)
		}
	}
}

func TestALineThatCannotBeTakenIsRefusedAsAWhole(t *testing.T) {
	w := importing(t)
	many := oldUser("u-many")
	for n := range 9 {
		many.TOTPURIs = append(many.TOTPURIs, oldApp(fmt.Sprint("&x=", n)))
	}
	good := func(change func(*mfa.ImportedPasskey)) mfa.ImportedUser {
		line := oldUser("u-key", oldApp(""))
		_, k := oldKey(t, w)
		change(&k)
		line.WebAuthn = []mfa.ImportedPasskey{k}
		return line
	}
	app := func(uri string) mfa.ImportedUser { return oldUser("u-app", seal.NewSecret(uri)) }
	for name, c := range map[string]struct {
		line  mfa.ImportedUser
		param string
	}{
		"no id":            {oldUser(""), "id"},
		"a bad address":    {mfa.ImportedUser{Person: mfa.Person{ID: "u-9", Email: mfa.Some("nobody")}}, "email"},
		"too many":         {many, ""},
		"hotp":             {app("otpauth://hotp/a?secret=" + oldSecret), "totp_uris.0"},
		"no URI":           {app("%"), "totp_uris.0"},
		"no secret":        {app("otpauth://totp/a"), "totp_uris.0"},
		"a short secret":   {app("otpauth://totp/a?secret=JBSWY3DP"), "totp_uris.0"},
		"no base32":        {app("otpauth://totp/a?secret=11111111111111111111"), "totp_uris.0"},
		"eight digits":     {oldUser("u-app", oldApp("&digits=8")), "totp_uris.0"},
		"MD5":              {oldUser("u-app", oldApp("&algorithm=MD5")), "totp_uris.0"},
		"15 seconds":       {oldUser("u-app", oldApp("&period=15")), "totp_uris.0"},
		"two secrets":      {oldUser("u-app", oldApp("&secret="+oldSecret)), "totp_uris.0"},
		"another RP ID":    {good(func(k *mfa.ImportedPasskey) { k.RPID = "other.example" }), "webauthn.0.rp_id"},
		"no credential id": {good(func(k *mfa.ImportedPasskey) { k.ID = "" }), "webauthn.0.id"},
		"no handle":        {good(func(k *mfa.ImportedPasskey) { k.UserHandle = "" }), "webauthn.0.user_handle"},
		"no public key":    {good(func(k *mfa.ImportedPasskey) { k.PublicKey = "AAAA" }), "webauthn.0.public_key"},
		"odd transports":   {good(func(k *mfa.ImportedPasskey) { k.Transports = []string{"a b"} }), "webauthn.0.transports"},
		"a long label":     {good(func(k *mfa.ImportedPasskey) { k.Label = strings.Repeat("a", 101) }), "webauthn.0.label"},
	} {
		before := len(keptOf(t, w, "u-9", "u-many", "u-app", "u-key"))
		got := imports(t, w, false, c.line)[0]
		if got.Result != mfa.ImportRefused || got.Code != mfa.InvalidRequest || got.Param != c.param || got.Detail == "" || len(got.Factors) > 0 {
			t.Errorf("%s: got %+v, want it refused because of %q", name, got, c.param)
		}
		if after := len(keptOf(t, w, "u-9", "u-many", "u-app", "u-key")); after != before || strings.Contains(fmt.Sprint(got), oldSecret) {
			t.Errorf("%s: something of it was taken, or is said again", name)
		}
	}
	w.SetPolicy(t, org, "kls", nil)
	if got := imports(t, w, false, oldUser("u-forbidden", oldApp("")))[0]; got.Code != mfa.MethodForbidden {
		t.Errorf("a kind that the policy forbids: got %+v", got)
	}
	if _, err := w.GetUser(t.Context(), w.Client, org, "u-forbidden"); codeOf(err) != mfa.NotFound {
		t.Errorf("a user of a line that was refused: got %v, want not_found", err)
	}
}

// oldKey makes a key that was registered in another system for the same RP ID.
func oldKey(t *testing.T, w *mfatest.World) (*passkeytest.Authenticator, mfa.ImportedPasskey) {
	t.Helper()
	key := &passkeytest.Authenticator{Resident: true, Eligible: true}
	handle := []byte("a handle of another system")
	c := mfa.Ceremony{Challenge: make([]byte, 32), Origins: []string{mfatest.Origin}, UserVerification: "discouraged", Expires: w.Clock.Now().Add(time.Minute)}
	options, err := w.Passkeys.CreationOptions(c, mfa.NewPasskey{Variant: mfa.AnyPasskey, Handle: handle, Name: "ana", DisplayName: "Ana"})
	if err != nil {
		t.Fatal(err)
	}
	response, err := key.Create(options, mfatest.Origin)
	if err != nil {
		t.Fatal(err)
	}
	made, err := w.Passkeys.Create(c, handle, response, w.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	text := base64.RawURLEncoding.EncodeToString
	return key, mfa.ImportedPasskey{
		ID: text(made.ID), PublicKey: text(made.PublicKey), Counter: made.SignCount, RPID: w.RelyingParty.ID, UserHandle: text(handle), Transports: made.Transports,
	}
}

func TestAnImportedKeyKeepsWorkingAndWhetherItIsSyncedIsLearned(t *testing.T) {
	yes, no := true, false
	for name, c := range map[string]struct {
		known *bool
		works bool
	}{"not known": {nil, true}, "known": {&yes, true}, "known wrongly": {&no, false}} {
		w := importing(t)
		key, k := oldKey(t, w)
		k.BackupEligible, k.Label = c.known, "Blue key"
		line := oldUser(user)
		line.WebAuthn = []mfa.ImportedPasskey{k}
		if got := imports(t, w, false, line)[0]; got.Result != mfa.ImportCreated || !slices.Equal(got.Factors, []mfa.Kind{mfa.WebAuthn}) {
			t.Fatalf("%s: got %+v", name, got)
		}
		touch := func(ch *mfa.ChallengeToAnswer) mfa.Answer { return w.Touch(t, key, ch) }
		if err := signsIn(t, w, user, touch); (err == nil) != c.works {
			t.Errorf("%s: got %v, want it to work: %v", name, err, c.works)
		}
		if !c.works {
			continue
		}
		if err := signsIn(t, w, user, touch); err != nil {
			t.Errorf("%s: the second time: got %v", name, err)
		}
		key.Eligible = false // as no key does: it is another one, or it lies
		if err := signsIn(t, w, user, touch); codeOf(err) != mfa.WrongCredential {
			t.Errorf("%s: a key that says something else than at first: got %v, want wrong_credential", name, err)
		}
		if got := imported(t, w).Factors; len(got) != 1 || got[0].Label != "Blue key" {
			t.Errorf("%s: got %+v", name, got)
		}
		if got := imports(t, w, false, mfa.ImportedUser{Person: mfa.Person{ID: "u-other"}, WebAuthn: line.WebAuthn})[0]; got.Code != mfa.AlreadyExists {
			t.Errorf("%s: the same key for another user: got %+v, want already_exists", name, got)
		}
	}
}

// A counter that goes back shows a copied key, also if it was counted elsewhere.
func TestR9AnImportedKeyKeepsItsCounter(t *testing.T) {
	w := importing(t)
	key, k := oldKey(t, w)
	k.Counter = 1000
	line := oldUser(user)
	line.WebAuthn = []mfa.ImportedPasskey{k}
	imports(t, w, false, line)
	if err := signsIn(t, w, user, func(ch *mfa.ChallengeToAnswer) mfa.Answer { return w.Touch(t, key, ch) }); codeOf(err) != mfa.WrongCredential {
		t.Errorf("got %v, want wrong_credential", err)
	}
}

func TestAnImportedUserHas2FAOnAndGetsRecoveryCodesWithTheFirstVerify(t *testing.T) {
	w := importing(t)
	imports(t, w, false, oldUser(user, oldApp("")))
	if got := imported(t, w); !got.Enabled || len(got.Factors) != 1 || got.Factors[0].Kind != mfa.TOTP {
		t.Fatalf("got %+v, want 2FA on with the app", got)
	}
	begun, err := w.StartChallenge(t.Context(), w.Client, mfa.StartRequest{Org: org, User: mfa.Person{ID: user}})
	if err != nil {
		t.Fatal(err)
	}
	app, err := mfatest.TypedAuthenticator(oldSecret)
	if err != nil {
		t.Fatal(err)
	}
	done, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: begun.Challenge.ID, Answer: mfa.Answer{Code: w.Code(app)}})
	if err != nil || len(done.RecoveryCodes) == 0 {
		t.Errorf("got %d recovery codes, %v", len(done.RecoveryCodes), err)
	}
}

func TestOnlyWhoWasThereBeforeIsToldOfAnImport(t *testing.T) {
	w := importing(t)
	imports(t, w, false, oldUser("u-new", oldApp("")))
	put(t, w, mfa.Person{ID: "u-old", Email: mfa.Some("u-old@acme.example")})
	imports(t, w, false, oldUser("u-old", oldApp("")))
	w.Drain(t)
	if n := len(notices(w, "u-new@acme.example")); n != 0 {
		t.Errorf("a user whom the import made got %d notices", n)
	}
	if n := len(notices(w, "u-old@acme.example")); n != 1 {
		t.Errorf("a user who was there got %d notices, want one of the factor", n)
	}
	for id, want := range map[string]int{"u-new": 1, "u-old": 1} {
		got := slices.DeleteFunc(w.Events.Types(id), func(kind string) bool { return kind != mfa.UserImported })
		if len(got) != want {
			t.Errorf("%s: got %d events of the import, want %d", id, len(got), want)
		}
	}
}

func TestAnImportNeedsTheScopeAndTheOrg(t *testing.T) {
	w := importing(t)
	line := mfa.ImportRequest{Lines: []mfa.ImportLine{{ImportedUser: oldUser(user)}}}
	for what, grant := range map[string]apikey.Grant{
		"without the scope": {Client: "app", Scopes: []apikey.Scope{apikey.Manage, apikey.SignIn}},
		"of another org":    {Client: "app", Scopes: []apikey.Scope{apikey.Admin}, Org: "globex"},
	} {
		if got, err := w.Import(t.Context(), w.NewClient(t, grant), org, line); codeOf(err) != mfa.Forbidden || got != nil {
			t.Errorf("%s: got %+v, %v, want forbidden", what, got, err)
		}
	}
}

// An import stops in time, and says what is left. The same lines again finish it.
func TestAnImportWhoseTimeIsOverSaysWhatIsLeft(t *testing.T) {
	w := importing(t)
	q := mfa.ImportRequest{}
	for n := range 50 {
		q.Lines = append(q.Lines, mfa.ImportLine{ImportedUser: oldUser(fmt.Sprint("u-", n))})
	}
	soon, cancel := context.WithTimeout(t.Context(), 3*time.Second) // less than the margin
	defer cancel()
	got, err := w.Import(soon, w.Client, org, q)
	if err != nil || slices.ContainsFunc(got, func(i mfa.Imported) bool { return i.Result != mfa.ImportLeft }) {
		t.Fatalf("got %+v, %v, want that all is left", got, err)
	}
	got, err = w.Import(t.Context(), w.Client, org, q)
	if err != nil || slices.ContainsFunc(got, func(i mfa.Imported) bool { return i.Result != mfa.ImportCreated }) {
		t.Errorf("got %+v, %v, want that all is done", got, err)
	}
}

func TestTheSameUserOnManyLinesAtOnceLosesNothing(t *testing.T) {
	w := importing(t)
	var lines []mfa.ImportedUser
	for n := range 5 {
		raw := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(bytes.Repeat([]byte{byte(n + 1)}, 20))
		lines = append(lines, oldUser(user, seal.NewSecret("otpauth://totp/a?secret="+raw)))
	}
	for _, got := range imports(t, w, false, lines...) {
		if len(got.Factors) != 1 {
			t.Errorf("got %+v, want the factor added", got)
		}
	}
	if got := imported(t, w); len(got.Factors) != 5 {
		t.Errorf("got %d factors, want 5", len(got.Factors))
	}
}
