// Package e2e tells what Countersign does as stories, over HTTP, in three kinds of world: the local server on the
// file that a laptop has, the same on DynamoDB Local, and the built Lambda functions behind the emulator. A story is named
// after the rule or the case it shows. Every answer it gets is checked against the OpenAPI document.
//
// It refuses to look inside: a story knows the API, the /local/* calls and nothing else.
package e2e
