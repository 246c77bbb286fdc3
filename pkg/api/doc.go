// Package api is the one HTTP door to package mfa. The local server and every function go through it; they differ only
// in which steps they bind. Calls that a program has beside the API, such as a local server's, are answered under the same
// ground rules by a door of their own (NewOwn).
//
// What it keeps:
//
//   - A handler runs only for a path that is spelled exactly as its route, with the route's method. Paths are never
//     cleaned, folded or redirected.
//   - The domain sees only requests whose bearer, headers and body have the form that the contract gives them. Unknown
//     fields, names that stand twice, wrong types and a null that means nothing are refused, never skipped.
//   - Whatever goes wrong leaves as a problem document (RFC 9457) with a code from one closed table. What broke, and any
//     value that was sent, is in none of them. A panic is an unavailable service to the caller, and no crash.
//   - Secrets are written in the clear in one place: the encoder of answers.
//   - Every answer names its request and is not to be stored, but for the public keys, which may be kept for an hour.
//
// It refuses to decide anything: who calls, for which org, and whether they may is for the domain to say. It refuses to
// read the time (callers pass it), to log paths, ids, queries and bodies, and to tell browsers which pages of other origins
// may call: what stands before it does, API Gateway or package machine.
package api
