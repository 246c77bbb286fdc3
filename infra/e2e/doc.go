// Package e2e tells what Countersign does as stories, over HTTP, against the whole local server on each of its stores:
// the file that a laptop has, and DynamoDB Local. A story is named after the rule or the case it shows. Every answer it
// gets is checked against the OpenAPI document.
//
// It refuses to look inside: a story knows the API, the /local/* calls and nothing else.
package e2e
