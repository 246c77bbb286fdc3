// Package api is the only HTTP interface to package mfa. The local server and every function use it, and each of them binds
// the steps that it needs: New makes an http.Handler from steps. A program can have calls beside the API, as the local
// server does. NewOwn makes a handler for these, with the same rules for requests and the same problems.
//
// The package guarantees:
//
//   - A handler runs only for a path that is written exactly as its route, and only with the route's method. Paths are never
//     cleaned, changed to lower case or redirected.
//   - The domain gets only requests whose bearer token, headers and body have the form that the OpenAPI document describes. A
//     request is refused if it has an unknown field, a name twice, a wrong type, or a null where null has no meaning. Nothing
//     that was sent is ignored.
//   - Every error is answered with a problem document (RFC 9457) whose code is in one closed table. A problem never contains
//     the cause of a failure or a value that was sent. If a handler panics, the caller gets the problem "unavailable", and
//     the process goes on.
//   - Secrets are written in the clear in one place only: the encoder of answers.
//   - Every answer has the id of its request, and forbids caches to store it. Only the public keys may be stored, for an hour.
//
// The package decides nothing: package mfa says who the caller is, for which org, and what the caller may do. It doesn't
// read the time, which its callers pass to it. It logs no paths, queries or bodies, and so no ids of orgs and users. It
// doesn't answer CORS requests: API Gateway or package machine does that in front of it.
package api
