package pages_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

const helpdesk = `{"profile":"helpdesk","require":"everyone","enrolment_proof":"none","acknowledge":true}`

// seen returns what the API says of a user.
func (d *desk) seen(id string) map[string]any {
	d.t.Helper()
	return d.api("GET", "/v1/orgs/"+org+"/users/"+id, "", nil)
}

func TestADateOfGraceIsTakenAwayAgainAndAWrongOneIsRefused(t *testing.T) {
	d := open(t, helpdesk)
	d.start("bob", "")
	a := d.administers("olga", "")
	a.get(a.home() + "/users/bob")
	until := d.now().Add(48 * time.Hour).UTC().Format("2006-01-02T15:04")
	a.submit("grace", "grace", until)
	a.stepsUp("grace")
	a.says(`value="` + until + `"`)
	a.submit("grace", "forever", "yes", "grace", "")
	a.says("Not protected")
	if got := d.start("bob", ""); got["decision"] != "enrol" {
		t.Errorf("got %v, want bob to enrol", got["decision"])
	}
	a.submit("grace", "grace", "soon")
	a.says("That is not a date")
}

func TestASetUpWhoseTimeIsOverIsBegunAgain(t *testing.T) {
	d := open(t, helpdesk)
	d.start("bob", "")
	a := d.administers("olga", "")
	a.get(a.home() + "/users/bob")
	a.submit("begin", "kind", "totp", "reason", "new phone")
	a.stepsUp("begin")
	key := keyOf.FindStringSubmatch(a.page)[1]
	d.later(11 * time.Minute)
	a.submit("finish", "code", appCode(t, key, d.now()))
	a.stepsUp("finish")
	a.says("The time for the set-up is over", "Nothing set up")
}

func TestARemovalNeedsAReasonWhichTheActivityTellsAndIsNeverOnesOwn(t *testing.T) {
	d := open(t, helpdesk)
	d.withApp("bob")
	a := d.administers("olga", "")
	a.get(a.home() + "/users/bob")
	a.submit("reset")
	a.says("Write in a few words why")
	a.submit("reset", "reason", "lost the phone <b>")
	a.stepsUp("reset")
	a.get(a.home() + "/activity?user=bob&type=user")
	a.says("Two-step sign-in was removed", "Reason: lost the phone <b>", "by the administrator olga")
	if strings.Contains(a.page, "phone <b>") {
		t.Error("a reason became markup")
	}
	a.get(a.home() + "/users/olga")
	a.says("This is your own account")
	if strings.Contains(a.page, `value="reset"`) {
		t.Error("an administrator can reset their own account")
	}
}

func TestAPassIsShownOnceAndCanBeTakenBack(t *testing.T) {
	d := open(t, `{"profile":"helpdesk","pass":{"max_s":3600}}`)
	d.withApp("bob")
	a := d.administers("olga", "")
	a.get(a.home() + "/users/bob")
	a.submit("pass", "minutes", "90", "reason", "lost the phone")
	a.stepsUp("pass")
	a.says("doesn’t allow passes that last so long", `value="lost the phone"`)
	a.submit("pass", "minutes", "10", "reason", "lost the phone")
	a.says("Give this to bob@acme.example. It is shown only now.")
	pass := regexp.MustCompile(`<p class="shown"><code>([^<]+)</code>`).FindStringSubmatch(a.page)
	if pass == nil {
		t.Fatalf("the page shows no pass:\n%s", a.page)
	}
	v := d.visitor()
	id := v.arrive(d.start("bob", ""))
	v.get(v.address[:strings.IndexByte(v.address+"?", '?')] + "?by=recovery")
	v.submit("recover", "code", pass[1])
	if got := d.outcome(id); got["state"] != "verified" {
		t.Errorf("got %v with the pass", got)
	}
	a.get(a.home() + "/users/bob")
	a.submit("revoke")
	a.says("The user has no pass any more")
}

func TestALockIsEndedWithAReason(t *testing.T) {
	d := open(t, `{"profile":"helpdesk"}`)
	secret := d.withApp("bob")
	v := d.visitor()
	for range 2 {
		v.arrive(d.start("bob", ""))
		for range 5 {
			v.submit("code", "code", wrong(appCode(t, secret, d.now())))
		}
	}
	a := d.administers("olga", "")
	a.get(a.home() + "?status=locked")
	a.says("bob@acme.example", "Locked")
	if strings.Contains(a.page, "/users/olga") {
		t.Error("the list of locked users has others")
	}
	a.get(a.home() + "/users/bob")
	a.says("Codes are checked again from", "End the lock")
	a.submit("unlock", "reason", "talked to bob")
	a.stepsUp("unlock")
	a.says("The lock is ended", "Protected")
}

func TestTwoAdministratorsDecideAboutARequest(t *testing.T) {
	d := open(t, `{"profile":"helpdesk","reset":{"second_approver":true}}`)
	d.withApp("bob")
	a, b := d.administers("olga", ""), d.administers("omar", "")
	a.get(a.home() + "/users/bob")
	a.submit("reset", "reason", "lost the phone")
	a.stepsUp("reset")
	a.says("The request waits", "A request for a reset waits", "lost the phone")
	a.submit("approve")
	a.says("You can’t approve this")
	b.get(b.home() + "/requests")
	b.says("bob", "Asked for by olga", "lost the phone", "Approve")
	b.submit("approve")
	b.stepsUp("approve")
	b.says("The request is approved", "There is no such request")
	if got := d.seen("bob"); got["status"] != "unprotected" {
		t.Errorf("got %v, want bob reset", got["status"])
	}
	d.withApp("bob")
	b.get(b.home() + "/users/bob")
	b.submit("reset", "reason", "lost it again")
	b.says("The request waits")
	a.get(a.home() + "/requests?state=")
	a.says("Done", "Waits", "Approved by omar")
	a.submit("cancel")
	a.says("The request is cancelled")
	a.submitAgain("cancel")
}

// submitAgain has no form to send: the request doesn't wait any more.
func (a *administrator) submitAgain(do string) {
	a.desk.t.Helper()
	if a.get(a.home() + "/requests"); strings.Contains(a.page, `value="`+do+`"`) {
		a.desk.t.Errorf("a form that does %s is still there", do)
	}
}

func TestUsersAreFoundByWhatTheirNamesBeginWith(t *testing.T) {
	d := open(t, talkdesk)
	for _, id := range []string{"bob", "bertha", "carl", "a b/c", "ü"} {
		d.api("PUT", "/v1/orgs/"+org+"/users/~"+b64(id), `{"name":"`+strings.ToUpper(id)+` <i>"}`, nil)
	}
	a := d.administers("olga", "")
	a.get(a.home() + "?q=b")
	a.says("BOB <i>", "BERTHA <i>")
	if strings.Contains(a.page, "CARL") || strings.Contains(a.page, "<i>") {
		t.Errorf("the list has somebody else, or markup:\n%s", a.page)
	}
	a.get(a.home() + "?q=nobody")
	a.says("No user fits")
	for _, id := range []string{"a b/c", "ü"} {
		a.get(a.home() + "/users/~" + b64(id))
		a.says(strings.ToUpper(id) + " <i>")
	}
	a.get(a.home() + "/users/nobody")
	a.says("There is no such user")
	if a.status != http.StatusNotFound {
		t.Errorf("got %d", a.status)
	}
	a.get(a.home() + "?cursor=forged")
	a.says("bob")
}

func TestAListGoesOnWhereItsPageEnds(t *testing.T) {
	d := open(t, talkdesk)
	for i := range 30 {
		d.api("PUT", "/v1/orgs/"+org+"/users/u-"+string(rune('a'+i/26))+string(rune('a'+i%26)), `{}`, nil)
	}
	a := d.administers("olga", "")
	seen := map[string]bool{}
	for range 3 {
		for _, found := range regexp.MustCompile(`/users/(u-\w+)"`).FindAllStringSubmatch(a.page, -1) {
			seen[found[1]] = true
		}
		next := regexp.MustCompile(`href="([^"]+)" rel="next"`).FindStringSubmatch(a.page)
		if next == nil {
			break
		}
		a.get(strings.ReplaceAll(next[1], "&amp;", "&"))
		a.says("First page")
	}
	if len(seen) != 30 {
		t.Errorf("got %d users, want 30", len(seen))
	}
}

func TestTheActivityIsToldInWordsAndGivenAsLines(t *testing.T) {
	d := open(t, talkdesk)
	d.withApp("bob")
	a := d.administers("olga", "")
	d.api("GET", "/local/events", "", nil) // what was committed is filed now
	a.get(a.home() + "/activity?type=factor")
	a.says("A way to sign in was set up", "Authenticator app", "bob", "olga")
	if strings.Contains(a.page, "policy was changed") {
		t.Error("the search by type finds another one")
	}
	a.get(a.home() + "/activity?from=" + url.QueryEscape(d.now().Add(time.Hour).UTC().Format("2006-01-02T15:04")))
	a.says("Nothing fits")
	link := regexp.MustCompile(`href="([^"]+/activity/lines[^"]*)"`).FindStringSubmatch(a.page)
	a.get(strings.Split(link[1], "?")[0] + "?user=bob")
	if got := a.header.Get("Content-Type"); got != "application/x-ndjson" || !strings.Contains(a.header.Get("Content-Disposition"), "attachment") {
		t.Errorf("got %q %q", got, a.header.Get("Content-Disposition"))
	}
	lines := strings.Split(strings.TrimSuffix(a.page, "\n"), "\n")
	for i, line := range lines {
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("line %d: %v", i, err)
		}
		if last := i == len(lines)-1; last == (e["id"] != nil) || !last && e["user"] != "bob" {
			t.Errorf("line %d is %s", i, line)
		}
	}
	if len(lines) < 3 {
		t.Errorf("got %d lines", len(lines))
	}
}

func TestAdoptionIsAPictureAndATable(t *testing.T) {
	d := open(t, talkdesk)
	d.withApp("bob")
	d.start("carl", "")
	a := d.administers("olga", "")
	for range 3 {
		d.later(24 * time.Hour)
		d.api("POST", "/local/sweep", "", nil)
	}
	a.enters("olga", "")
	a.get(a.home() + "/adoption?days=90")
	a.says("66 per cent of 3 users are protected", "Users by status over time, 3 at most", "90 days")
	if n := strings.Count(a.page, "<tr>"); n < 3 {
		t.Errorf("got %d rows", n)
	}
	if !strings.Contains(a.page, `<path class="protected" d="M0 `) || strings.Contains(a.page, "style=") {
		t.Errorf("the page has no picture, or a style of its own")
	}
}

func TestAnAdministratorChangesHowPagesLook(t *testing.T) {
	d := open(t, talkdesk)
	a := d.administers("olga", "")
	a.get(a.home() + "/brand")
	a.submit("brand", "name", "Acme Telefon", "colour", "red")
	a.says("The colour must be", `value="Acme Telefon"`)
	d.api("PUT", "/v1/orgs/acme/brand", `{"name":"Another"}`, http.Header{"If-Match": {`"0"`}})
	a.submit("brand", "name", "Acme Telefon", "colour", "#aa2200", "version", `"0"`)
	a.stepsUp("brand")
	a.says("Somebody else has changed the look", `value="Acme Telefon"`)
	a.submit("brand", "name", "Acme Telefon", "colour", "#aa2200")
	a.says("The look is saved", "Acme Telefon")
	if !strings.Contains(a.page, "colour-aa2200.css") {
		t.Error("the page doesn't have the colour")
	}
}

func TestAnAdministratorOfOneOrganisationSeesNothingOfAnother(t *testing.T) {
	d := open(t, talkdesk)
	d.api("PUT", "/v1/orgs/globex/users/gina", `{"name":"Gina of Globex"}`, nil)
	d.api("PUT", "/v1/orgs/globex/policy", `{"profile":"helpdesk","reset":{"second_approver":true}}`, http.Header{"If-Match": {`"0"`}})
	asked := d.api("POST", "/v1/orgs/globex/users/gina/reset", `{"actor":"gil","reason":"a secret of globex"}`, nil)
	a := d.administers("olga", "")
	home := a.home()
	for _, path := range []string{"", "?q=g", "/users/gina", "/policy", "/requests?state=", "/activity?user=gina", "/activity/lines", "/adoption", "/brand"} {
		a.get(home + path)
		if strings.Contains(a.page, "Gina") || strings.Contains(a.page, "secret of globex") || strings.Contains(a.page, "gil") {
			t.Errorf("%s tells something of another organisation", path)
		}
	}
	a.get(home + "/requests")
	token := regexp.MustCompile(`name="token"`).MatchString(a.page)
	a.get(home + "/policy")
	a.submit("profile", "profile", "karbon")
	a.submit("save")
	a.stepsUp("save") // so that a proof is there
	a.address = home + "/requests"
	for _, do := range []string{"approve", "cancel"} {
		fields := url.Values{"do": {do}, "request": {asked["id"].(string)}}
		a.get(home + "/brand")
		for _, f := range inputOf.FindAllStringSubmatch(a.page, -1) {
			fields.Set(f[1], f[2])
		}
		a.address = home + "/requests"
		a.send(a.posted(fields))
		a.says("This request doesn’t wait any more")
	}
	if got := d.api("GET", "/v1/resets/"+asked["id"].(string), "", nil)["state"]; got != "pending" || token {
		t.Errorf("the request of another organisation is %v", got)
	}
}

func TestTheConsoleIsForAdministratorsOnly(t *testing.T) {
	d := open(t, talkdesk)
	d.withApp("bob")
	begun := d.api("POST", "/v1/portal-sessions", `{"org":"acme","user":"bob","reauthenticated_at":"`+d.now().Format(time.RFC3339)+`"}`, nil)
	v := d.visitor()
	v.get(strings.TrimPrefix(begun["url"].(string), d.base))
	v.submit("open")
	var id string
	for name := range v.cookies {
		id = strings.TrimPrefix(name, "__Host-portal-")
	}
	for _, path := range []string{"", "/users/bob", "/policy", "/requests", "/activity", "/activity/lines", "/adoption", "/brand"} {
		name := "__Host-portal-" + id
		kept := v.cookies[name]
		v.get("/pages/console/" + id + path)
		v.cookies[name] = kept
		if v.status != http.StatusNotFound {
			t.Errorf("%s: got %d for a user who administers nothing", path, v.status)
		}
	}
	other := d.visitor()
	other.get("/pages/console/" + id)
	if other.status != http.StatusForbidden {
		t.Errorf("got %d without the cookie", other.status)
	}
}

func TestEveryPageOfTheConsoleIsSmallAndInFrenchToo(t *testing.T) {
	d := open(t, talkdesk)
	d.start("bob", "")
	a := d.administers("olga", `,"locale":"fr"`)
	for path, says := range map[string]string{
		"": "Utilisateurs", "/users/bob": "Retirer la connexion en deux étapes", "/policy": "Qui doit l’utiliser", "/policy?group=recovery": "Codes de secours par utilisateur", "/requests": "Demandes de réinitialisation",
		"/activity": "Télécharger", "/adoption": "pour cent", "/brand": "Apparence",
	} {
		a.get(a.home() + path)
		a.says(says)
		if len(a.page) > 30<<10 || a.status != http.StatusOK || !strings.Contains(a.page, `<html lang="fr"`) {
			t.Errorf("%s: %d bytes, status %d", path, len(a.page), a.status)
		}
	}
}

func b64(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func TestThePolicyPagesHaveEverySettingOfAPolicy(t *testing.T) {
	d := open(t, talkdesk)
	a := d.administers("olga", "")
	shown := map[string]bool{"org": true, "version": true, "updated": true, "reset.reason": true} // nobody can change these
	home := a.home()
	for _, group := range []string{"demand", "methods", "trust", "challenge", "recovery", "sms", "others"} {
		a.get(home + "/policy?group=" + group)
		for _, found := range regexp.MustCompile(`<(?:select|input|textarea) id="[^"]+" name="([^"]+)"`).FindAllStringSubmatch(a.page, -1) {
			shown[found[1]] = true
		}
	}
	for name, value := range d.api("GET", "/v1/orgs/"+org+"/policy", "", nil) {
		in, group := value.(map[string]any)
		for inner := range in {
			if !shown[name+"."+inner] {
				t.Errorf("no page has the setting %s.%s", name, inner)
			}
		}
		if !group && !shown[name] {
			t.Errorf("no page has the setting %s", name)
		}
	}
	a.get(home + "/policy")
	for _, profile := range regexp.MustCompile(`name="profile" value="(\w+)"`).FindAllStringSubmatch(a.page, -1) {
		a.get(home + "/policy")
		a.submit("profile", "profile", profile[1])
		a.says("You take the profile")
	}
}

func TestEveryTypeOfEventHasWords(t *testing.T) {
	contract, err := os.ReadFile("../api/openapi/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	words, err := os.ReadFile("catalogue/console.en.json")
	if err != nil {
		t.Fatal(err)
	}
	_, described, found := strings.Cut(string(contract), "The type is one of `challenge.started`")
	described, _, _ = strings.Cut(described, "Later versions")
	types := regexp.MustCompile("`([a-z]+\\.[a-z_]+)`").FindAllStringSubmatch(described, -1)
	if !found || len(types) < 20 {
		t.Fatalf("found %d types of event in the OpenAPI document", len(types))
	}
	for _, each := range types {
		if !strings.Contains(string(words), `"console.event.`+strings.ReplaceAll(each[1], ".", "_")+`"`) {
			t.Errorf("the console has no words for %s", each[1])
		}
	}
}
