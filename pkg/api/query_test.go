package api_test

import (
	"net/http"
	"strings"
	"testing"

	"countersign/pkg/api"
	"countersign/pkg/mfa"
)

// places replaces each name in a pattern by a value.
var places = strings.NewReplacer("{id}", "ch_a", "{org}", "acme", "{user}", "u", "{factor}", "fa_a", "{code}", "busy")

// queried sends a query exactly as it is. Go's HTTP client would refuse to send some of them.
func queried(raw string) alteration {
	return func(r *http.Request) { r.URL.RawQuery = raw }
}

func TestAQueryThatACallDoesNotKnowIsRefusedOnEveryRoute(t *testing.T) {
	w := newWorld(t)
	for _, step := range api.Steps {
		for _, route := range step.Routes {
			path := places.Replace(route.Pattern)
			for _, raw := range []string{
				"x=1", "x", "x=", "=x", "=", "&", "&&", "%FF=1", "%ff", "%zz=1", "%", "x=%zz", ";", "a;b=1", "access_token=" + w.key,
				"User=u", "user%00=u", " user=u", "user%20=u", "from[]=2026-11-22T10:00:00Z", strings.Repeat("n", 30<<10) + "=1", "x=" + strings.Repeat("v", 30<<10),
			} {
				got := w.do(route.Method, path, "", queried(raw))
				w.refused(route.Method+" "+path+"?"+raw[:min(len(raw), 40)], got, 400, mfa.InvalidRequest, "query")
				if len(got.text) > 1024 {
					t.Errorf("%s: the answer has %d bytes", path, len(got.text))
				}
				stranger := w.do(route.Method, path, "", queried(raw), without("Authorization"))
				if route.Open {
					w.refused("without a bearer", stranger, 400, mfa.InvalidRequest, "query")
				} else {
					w.refused("without a bearer", stranger, 401, mfa.Unauthenticated, "")
				}
			}
		}
	}
}

func TestAListingRefusesWhatWouldWidenIt(t *testing.T) {
	w := newWorld(t)
	w.wants("a user", w.do("PUT", anasPath, `{}`), 200)
	const org, user = "/v1/orgs/acme/activity", anasPath + "/activity"
	good := map[string]string{"from": "2026-11-22T10:00:00Z", "to": "2026-11-23T10:00:00Z", "type": "user", "user": "u-17"}
	for name, value := range good {
		for raw, param := range map[string]string{
			name + "=%zz": name, name + "=%": name, name + "=a%ff": name, name + "=" + value + ";": name, name + "=": name, name: name,
			name + "=" + value + "&" + name + "=" + value: name, name + "=" + value + "&" + name + "=%zz": name,
			name + "=" + value + "&x=%zz": "query", name + "=" + value + "&": "query", "&" + name + "=" + value: "query", name + "=" + value + "&%zz": "query",
		} {
			w.refused(org+"?"+raw, w.do("GET", org, "", queried(raw)), 400, mfa.InvalidRequest, param)
			if name != "user" {
				w.refused(user+"?"+raw, w.do("GET", user, "", queried(raw)), 400, mfa.InvalidRequest, param)
			}
		}
		w.wants(name, w.do("GET", org, "", queried(name+"="+value)), 200)
	}
	w.refused("a user, where the path names one", w.do("GET", user, "", queried("user=u-17")), 400, mfa.InvalidRequest, "user")
	w.refused("a time that is none", w.do("GET", org, "", queried("from=yesterday")), 400, mfa.InvalidRequest, "from")
	w.refused("a time that is none", w.do("GET", org, "", queried("to=1763805600")), 400, mfa.InvalidRequest, "to")
	w.refused("a cursor that is none", w.do("GET", org, "", queried("cursor=x")), 400, mfa.InvalidRequest, "cursor")
	w.wants("an encoded name", w.do("GET", org, "", queried("%75ser=u-17&type=user.created")), 200)
}
