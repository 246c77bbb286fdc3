package api

import "countersign/pkg/mfa"

// An Explanation is what a code means, and what to do about it.
type Explanation struct {
	Code        mfa.Code
	Status      int
	Title       string
	Explanation string // what happened
	Advice      string // what the caller does now
}

// Problems is the closed list of codes, by status: the one table that turns a code into a status.
var Problems = []Explanation{
	{"invalid_request", 400, "The request is not valid",
		"A field, a header or an id in the path doesn't have the form it must have. The param names it where one is to blame. Nothing was done, and nothing was counted.",
		"Correct the request. Sent again as it is, it will be refused again."},
	{"unauthenticated", 401, "No valid bearer token",
		"The Authorization header is missing, isn't of the form \"Bearer\", a space and a token, or holds a token that isn't good for this call.",
		"Send a live API key, or the challenge or enrolment token where the call takes one. Check that the key wasn't cut short when it was copied."},
	{"forbidden", 403, "The caller may not do this",
		"The bearer is known but doesn't cover the call: the API key lacks the scope or is limited to another organisation, or the client has said that this user is deprovisioned.",
		"Use a key with the scope that the call needs. For a deprovisioned user, PUT the user again first."},
	{"method_forbidden", 403, "This kind of factor is not allowed",
		"The organisation's policy, this step-up or what the user has enrolled leaves no room for this kind of factor, or for recovery codes. Nothing was sent or spent.",
		"Use one of the challenge's methods, enrol one of the kinds that were offered, or have an administrator change the policy."},
	{"reauthentication_required", 403, "The password has to be checked again",
		"The call changes somebody's account, and Countersign-Reauthenticated-At is missing, malformed, there twice, more than 10 minutes ago, or more than 60 seconds ahead.",
		"Check the user's password (or other first factor) again, and repeat the call with the time of that check as RFC 3339 has it, and with a new Idempotency-Key if it had one."},
	{"step_up_required", 403, "A fresh second factor is needed",
		"The call changes the account of a user whose 2FA is on, and Countersign-Proof isn't the token of a step-up that this user has answered for this client within the last 10 minutes, with a factor of a kind no weaker than the strongest that the user can use (an authenticator app is enough beside a security key). A step-up answered by a recovery code is proof for beginning an enrolment only. A reset or a revocation ends every proof. While the policy forbids every factor that the user has, there is none to step up with.",
		"Start a challenge with the purpose step_up and the action account (or none), have it verified with the factor that it asks for by default, and repeat the call with its token in Countersign-Proof, and with a new Idempotency-Key if it had one. Where the step-up is answered enrol, the user enrols another factor first."},
	{"country_forbidden", 403, "No messages to this country",
		"The organisation's policy doesn't open the country of this phone number.",
		"Offer another kind of factor, or have an administrator open the country in the policy's sms.countries."},
	{"not_found", 404, "There is no such thing",
		"The path names nothing that there is: no such route, user, factor or other item. Paths are compared letter by letter, without a slash at the end.",
		"Check the path and the ids in it. A user is there once a sign-in or a PUT has made it, and until it is erased."},
	{"challenge_invalid", 404, "There is no such challenge to answer",
		"The challenge is missing, over, already answered or someone else's. Which of these is never said.",
		"Start again, from the first factor, with a new challenge."},
	{"enrolment_invalid", 404, "There is no such enrolment to finish",
		"The enrolment, or the enrolment token, is missing, over, already used or someone else's. Which of these is never said. Beginning another one ends the one before.",
		"Begin a new enrolment. If it belongs to a sign-in, start that again."},
	{"busy", 409, "Too many calls at once for one user",
		"Other calls for the same user kept changing what this one was about to change. Nothing was done.",
		"Try again after a moment. The same Idempotency-Key can be used."},
	{"email_pinned", 409, "The email factor can't be removed alone",
		"The organisation's policy keeps email as a backup, so it can't be removed on its own.",
		"Leave it, or have an administrator change the policy's email_backup. 2FA as a whole can be turned off where it isn't required."},
	{"last_factor", 409, "The last factor can't be removed",
		"The user must use 2FA, and this is the only factor left.",
		"Enrol another factor first."},
	{"required_by_policy", 409, "2FA is required",
		"The organisation, or the user's own setting, requires 2FA: it can't be turned off.",
		"An administrator can lift the requirement."},
	{"acknowledgement_required", 409, "The change has to be acknowledged",
		"The change of policy signs users out, or makes users answer who weren't asked before. The preview says how many.",
		"Show the preview to the administrator, and send the same change with \"acknowledge\": true."},
	{"nothing_to_send", 409, "No code can be sent",
		"A message is the only way on, and the user's address isn't known; or what was begun has no code to send.",
		"Send the user's email with the sign-in, or PUT it. Otherwise an administrator has to help. An authenticator app shows its codes itself."},
	{"already_exists", 409, "This is there already",
		"What was to be made is there, and can be there only once: this address is already one of the user's factors.",
		"Use the one that is there."},
	{"method_not_allowed", 405, "The path has no such method",
		"There is such a path, but not with this method. The Allow header lists those it has.",
		"Use one of the methods in Allow."},
	{"version_mismatch", 412, "The policy has changed meanwhile",
		"The version in If-Match isn't the one in force: somebody else saved the policy after it was read.",
		"GET the policy again, apply the change to that, and PUT it with the new ETag."},
	{"too_large", 413, "The body is too large",
		"A body has at most 64 KiB (65536 bytes).",
		"Send less."},
	{"unsupported_media_type", 415, "The body is not declared as JSON",
		"A body comes with the Content-Type application/json, in UTF-8, and without a Content-Encoding.",
		"Set Content-Type: application/json."},
	{"wrong_code", 422, "The code is not right",
		"The code doesn't match, is over, or is an earlier one than the last that was sent. It was counted as an attempt; attempts_left says how many remain.",
		"Let the user try again while attempts are left. At none, what it answers is over: start again."},
	{"wrong_credential", 422, "The security key's answer is not right",
		"The credential doesn't answer this challenge, or isn't this user's.",
		"Ask for new options with a send, and try again."},
	{"idempotency_mismatch", 422, "The Idempotency-Key was used for another body",
		"A call with this Idempotency-Key, method and path came with another body within the last 24 hours.",
		"Use a new key for a new request. A retry has to send the very same bytes."},
	{"precondition_required", 428, "If-Match is missing",
		"A policy is only replaced by who says which version they have seen, so that no change is lost.",
		"GET the policy, and send its ETag as If-Match."},
	{"locked", 429, "Too many wrong codes",
		"The user's budget of wrong codes, counted over all challenges and enrolments, is spent. No code is looked at until the wait is over; retry_after_s, where it is there, says how long that is. Browsers where the user has answered rightly before have a budget of their own.",
		"Wait, or let the user answer with a security key or a recovery code where they have one, or in a browser whose known_token is sent with the start. An administrator can unlock the user."},
	{"too_many_sends", 429, "No further code can be sent yet",
		"A code was just sent, or a limit on messages is reached: of this challenge or enrolment, or of this user. Codes that were sent remain good.",
		"Wait for retry_after_s. Without it there are no more sends here: start again."},
	{"too_many_requests", 429, "Too many requests",
		"The same was asked for too often, such as an enrolment that was begun more than 20 times with enrolment tokens of one user.",
		"Slow down, and wait for retry_after_s where it is there."},
	{"delivery_failed", 502, "The message could not be handed over",
		"The provider of email or SMS didn't take the message. The wait before the next one is given back.",
		"Try again, or let the user choose another method."},
	{"unavailable", 503, "The service can't answer right now",
		"The store, the keys or something else that the answer needs is out of reach, or the answer took too long. Nobody gets in because of it.",
		"Try again, POSTs with the same Idempotency-Key. If it goes on, give the request_id to whoever runs the service."},
}

func problemOf(code mfa.Code) *Explanation {
	for i := range Problems {
		if Problems[i].Code == code {
			return &Problems[i]
		}
	}
	return nil
}
