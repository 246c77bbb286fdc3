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
		{Method: "POST", Pattern: "/v1/decisions", Operation: "decide"},
		{Method: "POST", Pattern: "/v1/challenges", Operation: "startChallenge"},
		{Method: "POST", Pattern: "/v1/challenges/{id}/send", Operation: "sendCode"},
		{Method: "GET", Pattern: "/v1/challenges/{id}", Operation: "getChallenge"},
	}},
	{Name: "verify", Routes: []Route{
		{Method: "POST", Pattern: "/v1/challenges/{id}/verify", Operation: "verifyChallenge"},
	}},
	{Name: "enrol", Routes: []Route{
		{Method: "POST", Pattern: "/v1/enrolments", Operation: "beginEnrolment"},
		{Method: "GET", Pattern: "/v1/enrolments", Operation: "getEnrolment"},
		{Method: "POST", Pattern: "/v1/enrolments/prove", Operation: "proveAddress"},
		{Method: "POST", Pattern: "/v1/enrolments/{id}/send", Operation: "sendEnrolmentCode"},
		{Method: "POST", Pattern: "/v1/enrolments/{id}/finish", Operation: "finishEnrolment"},
	}},
	{Name: "recover", Routes: []Route{
		{Method: "POST", Pattern: "/v1/challenges/{id}/recover", Operation: "recoverChallenge"},
		{Method: "POST", Pattern: "/v1/challenges/{id}/reset-request", Operation: "requestReset"},
	}},
	{Name: "account", Routes: []Route{
		{Method: "GET", Pattern: "/v1/orgs/{org}/users", Operation: "listUsers"},
		{Method: "GET", Pattern: "/v1/orgs/{org}/users/{user}", Operation: "getUser"},
		{Method: "PUT", Pattern: "/v1/orgs/{org}/users/{user}", Operation: "putUser"},
		{Method: "PATCH", Pattern: "/v1/orgs/{org}/users/{user}", Operation: "patchUser"},
		{Method: "DELETE", Pattern: "/v1/orgs/{org}/users/{user}", Operation: "eraseUser"},
		{Method: "PATCH", Pattern: "/v1/orgs/{org}/users/{user}/factors/{factor}", Operation: "renameFactor"},
		{Method: "DELETE", Pattern: "/v1/orgs/{org}/users/{user}/factors/{factor}", Operation: "removeFactor"},
		{Method: "POST", Pattern: "/v1/orgs/{org}/users/{user}/recovery-codes", Operation: "makeRecoveryCodes"},
		{Method: "GET", Pattern: "/v1/orgs/{org}/users/{user}/browsers", Operation: "listBrowsers"},
		{Method: "DELETE", Pattern: "/v1/orgs/{org}/users/{user}/browsers", Operation: "revokeBrowsers"},
		{Method: "DELETE", Pattern: "/v1/orgs/{org}/users/{user}/browsers/{id}", Operation: "revokeBrowser"},
		{Method: "POST", Pattern: "/v1/orgs/{org}/users/{user}/events", Operation: "reportEvent"},
		{Method: "POST", Pattern: "/v1/introspect", Operation: "introspect"},
		{Method: "GET", Pattern: "/v1/orgs/{org}/users/{user}/activity", Operation: "getUserActivity"},
		{Method: "GET", Pattern: "/v1/orgs/{org}/activity", Operation: "getOrgActivity"},
	}},
	{Name: "policy", Routes: []Route{
		{Method: "GET", Pattern: "/v1/orgs/{org}/policy", Operation: "getPolicy"},
		{Method: "PUT", Pattern: "/v1/orgs/{org}/policy", Operation: "putPolicy"},
		{Method: "POST", Pattern: "/v1/orgs/{org}/policy/preview", Operation: "previewPolicy"},
		{Method: "GET", Pattern: "/v1/orgs/{org}/brand", Operation: "getBrand"},
		{Method: "PUT", Pattern: "/v1/orgs/{org}/brand", Operation: "putBrand"},
	}},
	{Name: "admin", Routes: []Route{
		{Method: "GET", Pattern: "/v1/orgs", Operation: "listOrgs"},
		{Method: "DELETE", Pattern: "/v1/orgs/{org}", Operation: "eraseOrg"},
		{Method: "GET", Pattern: "/v1/orgs/{org}/adoption", Operation: "getAdoption"},
		{Method: "POST", Pattern: "/v1/orgs/{org}/users/{user}/unlock", Operation: "unlockUser"},
		{Method: "POST", Pattern: "/v1/orgs/{org}/users/{user}/reset", Operation: "resetUser"},
		{Method: "POST", Pattern: "/v1/orgs/{org}/users/{user}/passes", Operation: "issuePass"},
		{Method: "DELETE", Pattern: "/v1/orgs/{org}/users/{user}/passes", Operation: "revokePass"},
		{Method: "GET", Pattern: "/v1/orgs/{org}/resets", Operation: "listResets"},
		{Method: "GET", Pattern: "/v1/resets/{id}", Operation: "getReset"},
		{Method: "POST", Pattern: "/v1/resets/{id}/approve", Operation: "approveReset"},
		{Method: "POST", Pattern: "/v1/resets/{id}/cancel", Operation: "cancelReset"},
		{Method: "POST", Pattern: "/v1/orgs/{org}/import", Operation: "importUsers"},
		{Method: "POST", Pattern: "/v1/portal-sessions", Operation: "beginPortalSession"},
		{Method: "GET", Pattern: "/v1/portal-sessions", Operation: "getPortalSession"},
		{Method: "POST", Pattern: "/v1/handles", Operation: "redeemHandle", Open: true},
	}},
	{Name: "pages", Routes: []Route{
		{Method: "GET", Pattern: "/.well-known/jwks.json", Operation: "getKeys", Open: true},
		{Method: "GET", Pattern: "/.well-known/webauthn", Operation: "getRelatedOrigins", Open: true},
		{Method: "GET", Pattern: "/health", Operation: "getHealth", Open: true},
		{Method: "GET", Pattern: "/problems/{code}", Operation: "explainProblem", Open: true},
	}},
}
