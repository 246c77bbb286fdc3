package api

import "countersign/pkg/mfa"

// An explanation says what a code means, and what to do about it.
type explanation struct {
	Code        mfa.ErrorCode
	Status      int
	Title       string
	Explanation string // what happened
	Advice      string // what the caller can do now
}

// problems is the closed list of codes. It is the only table that says which HTTP status a code has.
var problems = []explanation{
	{"invalid_request", 400, "The request is not valid",
		"A field, a header, a query parameter or an id in the path is missing or does not have the form that it must have. The field param says which one, where there is one. Nothing was done, and nothing was counted.",
		"Correct the request. If it is sent again unchanged, it will be refused again."},
	{"unauthenticated", 401, "There is no valid bearer token",
		"The Authorization header is missing, does not consist of the word \"Bearer\", a space and a token, or holds a token that is not valid for this call.",
		"Send an API key that has not been revoked, or a challenge token or an enrolment token where the call accepts one. Check that the key was copied whole."},
	{"forbidden", 403, "The caller may not do this",
		"The bearer token is valid, but it does not allow this call: the API key lacks the scope or is limited to another organisation, or the client has reported that this user is deprovisioned.",
		"Use an API key with the scope that the call needs. If the user is deprovisioned, PUT the user again first."},
	{"method_forbidden", 403, "This kind of factor is not allowed",
		"The organisation's policy, this step-up, or the factors that the user already has do not allow this kind of factor, or do not allow recovery codes. Nothing was sent, and nothing was counted.",
		"Use one of the methods of the challenge, enrol one of the kinds that were offered, or ask an administrator to change the policy."},
	{"reauthentication_required", 403, "The password has to be checked again",
		"The call changes somebody's account, and the header Countersign-Reauthenticated-At is missing, is malformed, stands there twice, or gives a time that is more than 10 minutes ago or more than 60 seconds in the future.",
		"Check the user's password (or other first factor) again. Then repeat the call with the time of that check, written as in RFC 3339, and with a new Idempotency-Key if the call had one."},
	{"step_up_required", 403, "A fresh second factor is needed",
		"The call changes the account of a user whose 2FA is on. It needs, in the header Countersign-Proof, the token of a step-up that this user answered for this client within the last 10 minutes, with the strongest kind of factor that the user can use (an authenticator app is enough where there is also a security key). A step-up that was answered with a recovery code allows the user to begin an enrolment, and nothing else. A reset or a revocation ends every such proof. While the policy forbids every factor that the user has, the user has no factor to answer a step-up with.",
		"Start a challenge with the purpose step_up and the action account (or without an action), and let the user answer it with the factor that it asks for by default. Then repeat the call with the token of that answer in Countersign-Proof, and with a new Idempotency-Key if the call had one. If the decision is enrol, the user has to enrol another factor first."},
	{"country_forbidden", 403, "Messages to this country are not allowed",
		"The organisation's policy does not allow messages to the country of this phone number.",
		"Offer another kind of factor, or ask an administrator to add the country to sms.countries in the policy."},
	{"not_found", 404, "This does not exist",
		"The path names something that does not exist: a route, a user, a factor or another item. Paths are compared letter by letter, and have no slash at the end.",
		"Check the path and the ids in it. A user exists once a sign-in or a PUT has created it, and until it is erased."},
	{"challenge_invalid", 404, "There is no such challenge to answer",
		"The challenge does not exist, has expired, was already answered, or belongs to somebody else. The answer never says which of these it is.",
		"Start a new challenge, after checking the first factor again."},
	{"enrolment_invalid", 404, "There is no such enrolment to finish",
		"The enrolment or the enrolment token does not exist, has expired, was already used, or belongs to somebody else. The answer never says which of these it is. When an enrolment is begun, the user's earlier one ends.",
		"Begin a new enrolment. If it was part of a sign-in, start the sign-in again."},
	{"busy", 409, "There were too many calls at once for one user",
		"Other calls for the same user kept changing what this call was about to change. Nothing was done.",
		"Wait a moment and try again. The same Idempotency-Key can be used."},
	{"email_pinned", 409, "The email factor can't be removed on its own",
		"The organisation's policy keeps email as a backup, so the email factor can't be removed on its own.",
		"Keep the factor, or ask an administrator to change email_backup in the policy. 2FA as a whole can be turned off, unless it is required."},
	{"last_factor", 409, "The last factor can't be removed",
		"The user is required to use 2FA, and this is the only factor left.",
		"Enrol another factor first."},
	{"required_by_policy", 409, "2FA is required",
		"The organisation's policy, or a setting of this user, requires 2FA, so it can't be turned off.",
		"An administrator can end the requirement."},
	{"acknowledgement_required", 409, "The change has to be acknowledged",
		"The change of policy signs users out, or asks users for a second factor who were not asked before. The preview says how many.",
		"Show the preview to the administrator. To confirm the change, send it again with \"acknowledge\": true."},
	{"nothing_to_send", 409, "No code can be sent",
		"A code would have to be sent, and the user has no known address; or there is no code to send for this factor or enrolment.",
		"Give the user's email with the sign-in, or PUT it. Otherwise an administrator has to help. An authenticator app shows its codes by itself."},
	{"already_exists", 409, "This already exists",
		"The call would create something that exists already and can exist only once: this address is already one of the user's factors.",
		"Use the one that exists."},
	{"method_not_allowed", 405, "The path does not have this method",
		"The path exists, but not with this method. The header Allow lists the methods that it has.",
		"Use one of the methods that the header Allow lists."},
	{"version_mismatch", 412, "This was changed in the meantime",
		"The version in the header If-Match is not the current one: somebody else saved the policy or the brand after it was read.",
		"GET it again, make the change in what it answers, and PUT that with the new ETag."},
	{"too_large", 413, "The body is too large",
		"A body can have at most 64 KiB (65536 bytes).",
		"Send a smaller body."},
	{"unsupported_media_type", 415, "The body is not declared as JSON",
		"A body must be JSON in UTF-8, with the header Content-Type: application/json and without a Content-Encoding.",
		"Set the header Content-Type to application/json."},
	{"wrong_code", 422, "The code is not right",
		"The code does not match, has expired, or is not the last one that was sent. It was counted as an attempt. The field attempts_left says how many attempts are left.",
		"Let the user try again while attempts are left. When none is left, the challenge or enrolment is over: start again."},
	{"wrong_credential", 422, "The security key's answer is not right",
		"The credential does not answer this challenge, or is not one of this user's.",
		"Ask for new options with a call of send, and try again."},
	{"idempotency_mismatch", 422, "The Idempotency-Key was used for another body",
		"Within the last 24 hours, a call with this Idempotency-Key, method and path had another body.",
		"Use a new key for a new request. A retry has to send exactly the same bytes."},
	{"precondition_required", 428, "The header If-Match is missing",
		"A policy or a brand is replaced only if the call says which version it replaces, so that nobody's change is lost.",
		"GET it, and send its ETag in the header If-Match."},
	{"locked", 429, "There were too many wrong codes",
		"The user has given as many wrong codes as are allowed, counted over all challenges and enrolments. No code is checked until the wait is over. The field retry_after_s says how long that is; without it, only another kind of factor or an administrator ends the lock. Wrong codes in browsers where this user has given a right answer before are counted separately.",
		"Wait, or let the user answer with a security key or a recovery code, or in a browser whose known_token is given when the challenge is started. An administrator can unlock the user."},
	{"too_many_sends", 429, "No further code can be sent yet",
		"A code was just sent, or a limit on messages is reached, of this challenge, of this enrolment or of this user. A code that was sent before remains valid.",
		"Wait as long as retry_after_s says. Without that field, no further code can be sent here: start again."},
	{"too_many_requests", 429, "There were too many requests",
		"The same thing was asked for too often. For example, an enrolment was begun more than 20 times with the enrolment tokens of one user.",
		"Make fewer calls, and wait as long as retry_after_s says, where that field is given."},
	{"delivery_failed", 502, "The message could not be handed over",
		"The provider of email or SMS did not accept the message, and the next one can be sent without a wait. Or messages to this address come back: then a user who asks is sent one code in a day.",
		"Try again, or let the user choose another method."},
	{"unavailable", 503, "The service can't answer right now",
		"The store, the keys or something else that is needed for the answer can't be reached, or the answer took too long. Nobody is signed in because of this.",
		"Try again, and repeat a POST with the same Idempotency-Key. If the problem continues, give the request_id to the people who run the service."},
}

func problemOf(code mfa.ErrorCode) *explanation {
	for i := range problems {
		if problems[i].Code == code {
			return &problems[i]
		}
	}
	return nil
}
