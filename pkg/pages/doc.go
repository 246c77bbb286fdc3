// Package pages has the hosted pages: what a user sees who answers a challenge, sets up a factor or follows a link, for applications
// that don't want to build these pages. It is a client of the public API, and of nothing else.
//
// # What it keeps
//
//   - It has no rights on the table. Everything it knows it has asked the API for, with a bearer that it got for a one-time handle. So
//     it imports nothing of this project: it takes and gives JSON, with types of its own that have the fields it uses.
//   - A GET changes nothing. Mail programs and browsers open links by themselves, so the page of a link shows a form, and only the
//     form's POST redeems the handle.
//   - The bearer is in a cookie that scripts can't read, and nowhere else: in no address, no page and no log. There is one cookie for
//     each challenge, enrolment or portal session, so two of them in one browser never get into each other's way.
//   - A form counts only if it comes from a page of this deployment that this bearer's holder was shown: the browser says so
//     (Sec-Fetch-Site, or Origin), and the form has a token that is an HMAC under the bearer.
//   - A form that is sent twice is done once: each form has a word of its own, which becomes the call's Idempotency-Key.
//   - The address of the deployment comes from its configuration. No header of a request says where anything leads.
//   - Every page is whole without a script and without a second request that must succeed. Only security keys and passkeys need a script.
//   - Nothing is loaded from another origin, except the logo that an organisation has chosen.
//
// # How a page is added
//
// Add a row to a table of type [page] in a file of its own, and the table to rows in page.go. A row says the path below /pages/, which
// bearer the page needs, what it shows, and which forms it has. show asks the API and returns what the template gets. An act handles one
// form, which names it in the field "do", and says where to go, or which remark the page shows. Add the template as html/NAME.html,
// which defines "NAME", and its texts to the catalogue of each language: catalogue/PART.LANGUAGE.json. A test lists what a
// catalogue lacks, what it has too much, and which texts no page uses.
//
// Add each state of the page to the table of its part (states_*_test.go), and show it there. A test then looks at it in a real browser,
// in both languages. RESULTS.md says what is checked, and has a row for each state.
//
// # Which file does what
//
//	page.go        the table of pages, and what pages and forms are
//	visit.go       one request of a browser: how it is answered
//	session.go     the cookies with bearers, and the tokens of forms
//	call.go        calls of the API, and its problems
//	link.go        the pages of links, which redeem handles
//	challenge.go   the page where a challenge is answered
//	enrol.go       the pages where a factor is set up
//	backup.go      the backup that is offered after the first factor
//	country.go     countries and calling codes of phone numbers
//	portal.go      what portal sessions have in common: their tokens, and step-ups that a form waits for
//	settings*.go   the pages where a user looks after the own account
//	console*.go    the administrators' console: users, one user, policy, requests for a reset, activity, adoption and brand
//	cancel.go      the page of a link that cancels a request for a reset
//	wrong.go       what pages say about problems
//	catalogue.go   the texts: languages, plurals and dates
//	brand.go       names and colours
//	static.go      styles and scripts, whose addresses change with their content
package pages
