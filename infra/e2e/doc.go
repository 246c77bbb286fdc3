// Command e2e tries the rules of the five products over HTTP, and prints which of them hold.
//
//	go run ./infra/e2e [-profile kls]
//	go run ./infra/e2e -target URL -key-file FILE [-profile kls] [-client ID] [-origin ORIGIN]
//
// Without a target each rule is tried in three kinds of world: the local server with its file, the local server with DynamoDB
// Local, and the built Lambda functions in the emulator. With a target it is tried at that deployment, with an API key that has
// every scope. It leaves organisations behind there whose names contain "-story-". A rule that can't be tried at the target is
// reported as not tried, with what it needs: for some rules the suite has to read what was sent, or to move the clock, which
// only the local server and the emulator let it do. The exit status is 0 only if every rule that was asked for was tried
// everywhere and held.
//
// # Stories
//
// The rules are tried by the tests of this folder, which go test and the one test command run too. Each test is a story. The
// name of a story begins with the ids of the rules or cases that it shows, which .github/docs/rules.md explains. Every answer
// is compared with the OpenAPI document. A story uses only the API and the calls under /local/. It doesn't look inside a server.
package main
