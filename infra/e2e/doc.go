// Package e2e tests over HTTP what Countersign does. Its tests are stories, and each story runs in three kinds of world: the
// local server with its file, the local server with DynamoDB Local, and the built Lambda functions in the emulator. The name of
// a story begins with the ids of the rules or cases that it shows. Every answer is compared with the OpenAPI document.
//
// A story uses only the API and the calls under /local/. It doesn't look inside a server.
package e2e
