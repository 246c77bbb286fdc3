package api

import "net/http"

// A Step is the part of the API that one Lambda function serves. Its name is that of the function's folder.
type Step struct {
	Name   string
	Routes []Route
}

// A Route is one operation of the API. A segment of the pattern in braces stands for any one segment of a path.
type Route struct {
	Method    string
	Pattern   string
	Operation string // its operationId in the OpenAPI document; handlers are bound by it
	Open      bool   // whether it can be called without a bearer token
	Callers   string // the scopes of API keys, and the prefixes of other tokens, that may make the call, separated by spaces
}

// Methods returns the HTTP methods of the route. A route with GET also answers HEAD (RFC 9110 section 9.3.2).
func (r *Route) Methods() []string {
	if r.Method == http.MethodGet {
		return []string{http.MethodGet, http.MethodHead}
	}
	return []string{r.Method}
}

// Steps has all routes of the API.
//
// The routes that need no bearer token are a step of their own. So a flood of calls to them takes no capacity from the functions
// that people need to sign in.
var Steps = []Step{
	{Name: "challenge", Routes: []Route{
		{Method: "POST", Pattern: "/v1/decisions", Operation: "decide", Callers: "sign_in"},
		{Method: "POST", Pattern: "/v1/challenges", Operation: "startChallenge", Callers: "sign_in csp_"},
		{Method: "POST", Pattern: "/v1/challenges/{id}/send", Operation: "sendCode", Callers: "sign_in cst_"},
		{Method: "GET", Pattern: "/v1/challenges/{id}", Operation: "getChallenge", Callers: "sign_in cst_"},
	}},
	{Name: "verify", Routes: []Route{
		{Method: "POST", Pattern: "/v1/challenges/{id}/verify", Operation: "verifyChallenge", Callers: "sign_in cst_"},
	}},
	{Name: "enrol", Routes: []Route{
		{Method: "POST", Pattern: "/v1/enrolments", Operation: "beginEnrolment", Callers: "manage admin cse_ csp_"},
		{Method: "GET", Pattern: "/v1/enrolments", Operation: "getEnrolment", Callers: "cse_"},
		{Method: "POST", Pattern: "/v1/enrolments/prove", Operation: "proveAddress", Callers: "cse_"},
		{Method: "POST", Pattern: "/v1/enrolments/{id}/send", Operation: "sendEnrolmentCode", Callers: "manage admin cse_ csp_"},
		{Method: "POST", Pattern: "/v1/enrolments/{id}/finish", Operation: "finishEnrolment", Callers: "manage admin cse_ csp_"},
	}},
	{Name: "recover", Routes: []Route{
		{Method: "POST", Pattern: "/v1/challenges/{id}/recover", Operation: "recoverChallenge", Callers: "sign_in cst_"},
		{Method: "POST", Pattern: "/v1/challenges/{id}/reset-request", Operation: "requestReset", Callers: "sign_in cst_"},
	}},
	{Name: "account", Routes: []Route{
		{Method: "GET", Pattern: "/v1/orgs/{org}/users", Operation: "listUsers", Callers: "admin csp_"},
		{Method: "GET", Pattern: "/v1/orgs/{org}/users/{user}", Operation: "getUser", Callers: "manage csp_"},
		{Method: "PUT", Pattern: "/v1/orgs/{org}/users/{user}", Operation: "putUser", Callers: "manage"},
		{Method: "PATCH", Pattern: "/v1/orgs/{org}/users/{user}", Operation: "patchUser", Callers: "manage admin csp_"},
		{Method: "DELETE", Pattern: "/v1/orgs/{org}/users/{user}", Operation: "eraseUser", Callers: "manage"},
		{Method: "PATCH", Pattern: "/v1/orgs/{org}/users/{user}/factors/{factor}", Operation: "renameFactor", Callers: "manage csp_"},
		{Method: "DELETE", Pattern: "/v1/orgs/{org}/users/{user}/factors/{factor}", Operation: "removeFactor", Callers: "manage csp_"},
		{Method: "POST", Pattern: "/v1/orgs/{org}/users/{user}/recovery-codes", Operation: "makeRecoveryCodes", Callers: "manage csp_"},
		{Method: "GET", Pattern: "/v1/orgs/{org}/users/{user}/browsers", Operation: "listBrowsers", Callers: "manage csp_"},
		{Method: "DELETE", Pattern: "/v1/orgs/{org}/users/{user}/browsers", Operation: "revokeBrowsers", Callers: "manage csp_"},
		{Method: "DELETE", Pattern: "/v1/orgs/{org}/users/{user}/browsers/{id}", Operation: "revokeBrowser", Callers: "manage csp_"},
		{Method: "POST", Pattern: "/v1/orgs/{org}/users/{user}/events", Operation: "reportEvent", Callers: "manage"},
		{Method: "POST", Pattern: "/v1/introspect", Operation: "introspect", Callers: "sign_in manage"},
		{Method: "GET", Pattern: "/v1/orgs/{org}/users/{user}/activity", Operation: "getUserActivity", Callers: "manage csp_"},
		{Method: "GET", Pattern: "/v1/orgs/{org}/activity", Operation: "getOrgActivity", Callers: "admin csp_"},
	}},
	{Name: "policy", Routes: []Route{
		{Method: "GET", Pattern: "/v1/orgs/{org}/policy", Operation: "getPolicy", Callers: "admin csp_"},
		{Method: "PUT", Pattern: "/v1/orgs/{org}/policy", Operation: "putPolicy", Callers: "admin csp_"},
		{Method: "POST", Pattern: "/v1/orgs/{org}/policy/preview", Operation: "previewPolicy", Callers: "admin csp_"},
		{Method: "GET", Pattern: "/v1/orgs/{org}/brand", Operation: "getBrand", Callers: "admin csp_"},
		{Method: "PUT", Pattern: "/v1/orgs/{org}/brand", Operation: "putBrand", Callers: "admin csp_"},
	}},
	{Name: "admin", Routes: []Route{
		{Method: "GET", Pattern: "/v1/orgs", Operation: "listOrgs", Callers: "admin"},
		{Method: "DELETE", Pattern: "/v1/orgs/{org}", Operation: "eraseOrg", Callers: "admin"},
		{Method: "GET", Pattern: "/v1/orgs/{org}/adoption", Operation: "getAdoption", Callers: "admin csp_"},
		{Method: "POST", Pattern: "/v1/orgs/{org}/users/{user}/unlock", Operation: "unlockUser", Callers: "admin csp_"},
		{Method: "POST", Pattern: "/v1/orgs/{org}/users/{user}/reset", Operation: "resetUser", Callers: "admin csp_"},
		{Method: "POST", Pattern: "/v1/orgs/{org}/users/{user}/passes", Operation: "issuePass", Callers: "admin csp_"},
		{Method: "DELETE", Pattern: "/v1/orgs/{org}/users/{user}/passes", Operation: "revokePass", Callers: "admin csp_"},
		{Method: "GET", Pattern: "/v1/orgs/{org}/resets", Operation: "listResets", Callers: "admin csp_"},
		{Method: "GET", Pattern: "/v1/resets/{id}", Operation: "getReset", Callers: "admin csp_"},
		{Method: "POST", Pattern: "/v1/resets/{id}/approve", Operation: "approveReset", Callers: "admin csp_"},
		{Method: "POST", Pattern: "/v1/resets/{id}/cancel", Operation: "cancelReset", Callers: "admin csp_ csx_"},
		{Method: "POST", Pattern: "/v1/orgs/{org}/import", Operation: "importUsers", Callers: "admin"},
		{Method: "POST", Pattern: "/v1/portal-sessions", Operation: "beginPortalSession", Callers: "manage admin"},
		{Method: "GET", Pattern: "/v1/portal-sessions", Operation: "getPortalSession", Callers: "csp_"},
		{Method: "POST", Pattern: "/v1/handles", Operation: "redeemHandle", Open: true},
	}},
	{Name: "pages", Routes: []Route{
		{Method: "GET", Pattern: "/.well-known/jwks.json", Operation: "getKeys", Open: true},
		{Method: "GET", Pattern: "/.well-known/webauthn", Operation: "getRelatedOrigins", Open: true},
		{Method: "GET", Pattern: "/health", Operation: "getHealth", Open: true},
		{Method: "GET", Pattern: "/problems/{code}", Operation: "explainProblem", Open: true},
	}},
}
