package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"countersign/pkg/apikey"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
)

// belongings is what one org has given to its user u-17, or what somebody has made up in the same form.
type belongings struct {
	challenge, code               string // a sign-in that waits, and the code that answers it
	mailed, mail                  string // the same of a sign-in that waits for an emailed code
	enrolment, enrolling          string // an enrolment that waits for a code, and that code
	proving, provingToken, proved string // a sign-in that waits for an enrolment, its token, and the code that proves the address
	factor, address, browser      string
	trust, proof, recovery, pass  string
	reset, resets                 string // a request for a reset that waits, and a cursor of such requests
	browsers, activity            string // cursors of lists of the user
	users, everybody              string // cursors of lists of the org
}

// An isolation is two orgs with the same users, addresses and numbers.
type isolation struct {
	*world
	acme, globex belongings
	key          string // of globex, with every scope
}

func newIsolation(t *testing.T) *isolation {
	t.Helper()
	i := &isolation{world: newWorld(t)}
	i.service.Bus = &mfatest.Events{}
	i.acme, i.globex = i.give("acme"), i.give("globex")
	i.key = i.newKey(apikey.Scopes(), "globex")
	i.acme.listed(i, "acme")
	i.globex.listed(i, "globex")
	return i
}

// give lets an org give its user all that a user can have.
func (i *isolation) give(org string) (b belongings) {
	post := func(path, body string, alterations ...alteration) reply {
		i.t.Helper()
		got := i.do("POST", path, strings.ReplaceAll(body, "ORG", org), alterations...)
		if got.status >= 300 {
			i.t.Fatalf("%s: %s", path, got.text)
		}
		return got
	}
	const someone = `{"org":"ORG","user":{"id":"u-17","email":"ana@acme.example","phone":"+33612345678"}`
	i.wants("policy", i.do("PUT", "/v1/orgs/"+org+"/policy", `{"require":"everyone","pass":{"max_s":3600},"reset":{"second_approver":true,"self_service":"approve"},"acknowledge":true}`, at("0")), 200)
	begun := post("/v1/enrolments", someone+`,"kind":"totp"}`, i.reauthenticated())
	secret := begun.word("totp.secret")
	done := post("/v1/enrolments/"+begun.word("id")+"/finish", i.shown(secret))
	b.factor, b.recovery = done.word("factor.id"), done.at("recovery_codes").([]any)[0].(string)
	answered := func(more string) reply {
		i.clock.Advance(30 * time.Second)
		id := post("/v1/challenges", someone+more+"}").word("challenge.id")
		return post("/v1/challenges/"+id+"/verify", strings.Replace(i.shown(secret), "}", `,"trust":{"name":"Firefox"}}`, 1))
	}
	b.proof = post("/v1/challenges/"+post("/v1/challenges", someone+`,"purpose":"step_up"}`).word("challenge.id")+"/verify", i.next(secret)).word("token")
	begun = post("/v1/enrolments", someone+`,"kind":"email"}`, i.reauthenticated(), proof(b.proof))
	done = post("/v1/enrolments/"+begun.word("id")+"/finish", `{"code":"`+i.mail.last()+`"}`)
	b.address = done.word("factor.id")
	for range 2 {
		let := answered("")
		b.browser, b.trust = let.word("trusted_browser.id"), let.word("trust_token")
	}
	i.clock.Advance(time.Minute)
	b.mailed = post("/v1/challenges", someone+`,"method":"email"}`).word("challenge.id")
	b.mail = `{"factor":"` + b.address + `","code":"` + i.mail.last() + `"}`
	i.clock.Advance(time.Minute)
	b.challenge, b.code = post("/v1/challenges", someone+"}").word("challenge.id"), i.shown(secret)
	begun = post("/v1/enrolments", onBehalf(strings.Replace(someone+`,"kind":"email"}`, "u-17", "u-19", 1)))
	b.enrolment, b.enrolling = begun.word("id"), `{"code":"`+i.mail.last()+`"}`
	forced := post("/v1/challenges", strings.Replace(someone+"}", "u-17", "u-18", 1))
	b.proving, b.provingToken = forced.word("id"), forced.word("enrolment.token")
	post("/v1/enrolments", `{"kind":"totp"}`, as(b.provingToken))
	b.proved = `{"code":"` + i.mail.last() + `"}`
	b.pass = post("/v1/orgs/"+org+"/users/u-17/passes", `{"actor":"olga","reason":"forgot"}`).word("pass")
	b.reset = post("/v1/orgs/"+org+"/users/u-18/reset", `{"actor":"olga","reason":"lost"}`).word("id")
	post("/v1/orgs/"+org+"/users/u-19/reset", `{"actor":"olga","reason":"lost"}`)
	return b
}

// next returns what the app shows a step later.
func (i *isolation) next(secret string) string {
	i.clock.Advance(30 * time.Second)
	return i.shown(secret)
}

// listed begins to read each list of an org, and keeps the cursors.
func (b *belongings) listed(i *isolation, org string) {
	if err := i.feed.Deliver(i.t.Context(), 100, i.service.Publish); err != nil {
		i.t.Fatal(err)
	}
	for path, into := range map[string]*string{"/users/u-17/browsers": &b.browsers, "/users/u-17/activity": &b.activity, "/users": &b.users, "/activity": &b.everybody, "/resets": &b.resets} {
		*into = i.wants(path, i.do("GET", "/v1/orgs/"+org+path+"?limit=1", ""), 200).word("cursor")
		if *into == "" {
			i.t.Fatalf("%s of %s has one page only", path, org)
		}
	}
}

// madeUp returns belongings in the form of b that nobody was given.
func (b belongings) madeUp() belongings {
	other := func(text string, at int) string {
		for c := byte('A'); ; c++ {
			if text[at] != c {
				return text[:at] + string(c) + text[at+1:]
			}
		}
	}
	digit := func(body string) string {
		at := strings.LastIndexAny(body, "0123456789")
		return body[:at] + string('0'+(body[at]-'0'+1)%10) + body[at+1:]
	}
	id := func(prefix string) string { return seal.ID(prefix, make([]byte, 32)) }
	return belongings{
		challenge: id("ch_"), code: digit(b.code), mailed: id("ch_"), mail: digit(b.mail), enrolment: id("en_"), enrolling: digit(b.enrolling),
		proving: id("ch_"), provingToken: other(b.provingToken, 60), proved: digit(b.proved),
		factor: other(b.factor, 10), address: other(b.address, 10), browser: other(b.browser, 10), trust: other(b.trust, 20), proof: other(b.proof, len(b.proof)-20),
		recovery: other(b.recovery, 0), pass: other(b.pass, 0), reset: id("rs_"), resets: other(b.resets, 20), browsers: other(b.browsers, 20), activity: other(b.activity, 20), users: other(b.users, 20), everybody: other(b.everybody, 20),
	}
}

// foreign returns, by operation, the calls that use something that one org has given at another org. An operation that takes
// nothing but the names of an org and a user, which are not secret, has none.
func foreign(i *isolation) map[string][]func(belongings) reply {
	const here = "/v1/orgs/globex/users/u-17"
	const someone = `{"org":"globex","user":{"id":"u-17"}`
	type calls []func(b belongings) reply
	challenges, enrolments := "/v1/challenges/", "/v1/enrolments/"
	limited := func(method, path, body string, alterations ...alteration) reply {
		return i.do(method, path, body, append([]alteration{as(i.key)}, alterations...)...)
	}
	own := i.globex
	return map[string][]func(belongings) reply{
		"decide": calls{
			func(b belongings) reply {
				return limited("POST", "/v1/decisions", someone+`,"trust_token":"`+b.trust+`"}`)
			},
		},
		"startChallenge": calls{ // the ids and the tokens of an answer are random, so only what was decided is compared
			func(b belongings) reply {
				got := limited("POST", "/v1/challenges", someone+`,"trust_token":"`+b.trust+`"}`)
				return reply{status: got.status, text: got.word("decision") + " " + got.word("reason")}
			},
		},
		"sendCode": calls{
			func(b belongings) reply { return limited("POST", challenges+b.mailed+"/send", "{}") },
			func(b belongings) reply {
				return limited("POST", challenges+own.challenge+"/send", `{"factor":"`+b.address+`"}`)
			},
		},
		"getChallenge": calls{
			func(b belongings) reply { return limited("GET", challenges+b.challenge, "") },
			func(b belongings) reply { return limited("GET", challenges+b.proving, "") },
		},
		"verifyChallenge": calls{
			func(b belongings) reply { return limited("POST", challenges+b.challenge+"/verify", b.code) },
			func(b belongings) reply { return limited("POST", challenges+own.challenge+"/verify", b.code) },
			func(b belongings) reply { return limited("POST", challenges+b.mailed+"/verify", b.mail) },
			func(b belongings) reply {
				return limited("POST", challenges+own.challenge+"/verify", strings.Replace(own.code, "{", `{"factor":"`+b.factor+`",`, 1))
			},
		},
		"recoverChallenge": calls{
			func(b belongings) reply {
				return limited("POST", challenges+own.challenge+"/recover", `{"code":"`+b.recovery+`"}`)
			},
			func(b belongings) reply {
				return limited("POST", challenges+b.challenge+"/recover", `{"code":"`+b.recovery+`"}`)
			},
			func(b belongings) reply {
				return limited("POST", challenges+own.challenge+"/recover", `{"code":"`+b.pass+`"}`)
			},
		},
		"beginEnrolment": calls{
			func(b belongings) reply {
				return limited("POST", "/v1/enrolments", someone+`,"kind":"totp"}`, i.reauthenticated(), proof(b.proof))
			},
		},
		"proveAddress": calls{
			func(b belongings) reply { return i.do("POST", "/v1/enrolments/prove", b.proved, as(own.provingToken)) },
		},
		"sendEnrolmentCode": calls{
			func(b belongings) reply {
				i.clock.Advance(time.Minute) // the next code has to wait for that long
				return limited("POST", enrolments+b.enrolment+"/send", "")
			},
		},
		"finishEnrolment": calls{
			func(b belongings) reply { return limited("POST", enrolments+b.enrolment+"/finish", b.enrolling) },
			func(b belongings) reply { return limited("POST", enrolments+own.enrolment+"/finish", b.enrolling) },
		},
		"patchUser": calls{
			func(b belongings) reply {
				return limited("PATCH", here, `{"enabled":true}`, i.reauthenticated(), proof(b.proof))
			},
		},
		"renameFactor": calls{
			func(b belongings) reply { return limited("PATCH", here+"/factors/"+b.factor, `{"label":"l"}`) },
		},
		"removeFactor": calls{
			func(b belongings) reply {
				return limited("DELETE", here+"/factors/"+b.factor, "", i.reauthenticated(), proof(own.proof))
			},
			func(b belongings) reply {
				return limited("DELETE", here+"/factors/"+own.factor, "", i.reauthenticated(), proof(b.proof))
			},
		},
		"makeRecoveryCodes": calls{
			func(b belongings) reply {
				return limited("POST", here+"/recovery-codes", "", i.reauthenticated(), proof(b.proof))
			},
		},
		"revokeBrowser": calls{
			func(b belongings) reply { return limited("DELETE", here+"/browsers/"+b.browser, "") },
		},
		"listBrowsers":    calls{func(b belongings) reply { return limited("GET", here+"/browsers?limit=1&cursor="+b.browsers, "") }},
		"getUserActivity": calls{func(b belongings) reply { return limited("GET", here+"/activity?limit=1&cursor="+b.activity, "") }},
		"listUsers":       calls{func(b belongings) reply { return limited("GET", "/v1/orgs/globex/users?limit=1&cursor="+b.users, "") }},
		"getOrgActivity": calls{func(b belongings) reply {
			return limited("GET", "/v1/orgs/globex/activity?limit=1&cursor="+b.everybody, "")
		}},

		"listResets": calls{func(b belongings) reply { return limited("GET", "/v1/orgs/globex/resets?limit=1&cursor="+b.resets, "") }},
		"getReset":   calls{func(b belongings) reply { return limited("GET", "/v1/resets/"+b.reset, "") }},
		"requestReset": calls{func(b belongings) reply {
			return limited("POST", challenges+b.challenge+"/reset-request", `{"reason":"lost"}`)
		}},
		"approveReset": calls{func(b belongings) reply {
			other := i.make(apikey.Grant{Client: "backoffice", Scopes: apikey.Scopes(), Org: "globex"})
			return i.do("POST", "/v1/resets/"+b.reset+"/approve", `{"actor":"paul"}`, as(other))
		}},
		"cancelReset": calls{func(b belongings) reply { return limited("POST", "/v1/resets/"+b.reset+"/cancel", `{"actor":"olga"}`) }},

		// These take the names of an org and a user, and nothing that was given to anybody.
		"getUser": nil, "putUser": nil, "eraseUser": nil, "revokeBrowsers": nil, "reportEvent": nil, "getBrand": nil, "putBrand": nil, "getPolicy": nil, "putPolicy": nil, "previewPolicy": nil,
		"unlockUser": nil, "listOrgs": nil, "eraseOrg": nil, "getAdoption": nil, "resetUser": nil, "issuePass": nil, "revokePass": nil, "importUsers": nil,
		"introspect": nil, "beginPortalSession": nil,

		// These take a bearer that names the org, and nothing else. TestL4APortalTokenOfOneOrgIsAMadeUpOneInAnotherOnAnyRoute gives
		// portal tokens to every route.
		"getEnrolment": nil, "getPortalSession": nil,
	}
}

// TestL4NothingOfOneOrgIsGoodInAnotherOnAnyRoute makes each call of each route three times: with what the other org was given,
// with what nobody was given, and with the org's own. The first two must hear the same, and the third one must not.
func TestL4NothingOfOneOrgIsGoodInAnotherOnAnyRoute(t *testing.T) {
	tried := foreign(newIsolation(t))
	for _, route := range closedRoutes() {
		if _, known := tried[route.Operation]; !known {
			t.Errorf("%s: this test doesn't say what of one org could be given to it at another one", route.Operation)
		}
	}
	for operation, calls := range tried {
		for n := range calls {
			t.Run(fmt.Sprint(operation, " ", n+1), func(t *testing.T) {
				heard := map[string]reply{}
				for _, whose := range []string{"acme's", "nobody's", "globex's"} {
					i := newIsolation(t)
					b := map[string]belongings{"acme's": i.acme, "nobody's": i.globex.madeUp(), "globex's": i.globex}[whose]
					got := foreign(i)[operation][n](b)
					if id := got.word("request_id"); id != "" {
						got.text = strings.ReplaceAll(got.text, id, "")
					}
					heard[whose] = got
				}
				theirs, nobodys, own := heard["acme's"], heard["nobody's"], heard["globex's"]
				if theirs.status != nobodys.status || theirs.text != nobodys.text {
					t.Errorf("with another org's: got %d %s, want what is heard with a made-up one: %d %s", theirs.status, theirs.text, nobodys.status, nobodys.text)
				}
				if own.status >= 300 || own.status == nobodys.status && own.text == nobodys.text {
					t.Errorf("with its own: got %d %s, want it to do something", own.status, own.text)
				}
			})
		}
	}
}
