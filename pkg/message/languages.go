package message

import (
	"maps"
	"slices"
)

// Languages returns the languages of messages, by their ISO 639-1 codes and in alphabetical order.
func Languages() []string { return slices.Sorted(maps.Keys(languages)) }

// QRName returns, in a language, how a screen reader names the QR code that an authenticator app scans.
func QRName(language string) string {
	_, w := wordsIn(language)
	return w.qrName
}

// wordsIn returns the words of a language, and its code. For a language that isn't one of Languages, it returns English.
func wordsIn(language string) (string, *words) {
	if w, ok := languages[language]; ok {
		return language, w
	}
	return "en", languages["en"]
}

// words has all texts of messages in one language, and how that language writes a time. A text has the same placeholders as the
// English text: {sender}, {name}, {sequence}, {minutes}, {valid}, {time}, {kind}, {user} or {left}.
type words struct {
	greeting, greetingByName string

	codeSubject  string
	codeWarning  string
	codeConfirms string // the lines of what is confirmed come after it
	codeIs       string // the six digits come after it
	underAMinute string
	oneMinute    string
	minutes      string // for two minutes and more
	codeLatest   string
	codeSpam     string
	codeNotYou   string

	// In a text message, which has room for little:
	codeText             string // has {sequence} and {valid}, and the six digits come after it
	codeTextUnderAMinute string
	codeTextMinutes      string // has {minutes}
	codeTextConfirms     string // the lines of what is confirmed come after it
	textNotYou           string

	lockSubject string
	lockWhat    string
	lockUntil   string
	lockForever string // for a lock that only another factor or an administrator ends
	lockOver    string // for a lock that an administrator ended before the message was sent
	lockKnown   string // for a lock only of the browsers in which the user has given a right answer before
	lockOther   string // for a lock of all other browsers
	lockNotYou  string

	theftSubject string
	theftWhat    string
	theftEnded   string
	theftYou     string
	theftNotYou  string

	recoveryLockSubject string
	recoveryLockWhat    string
	recoveryLockWait    string

	enrolledSubject string
	enrolledWhat    string // has {kind}

	removedSubject string
	removedWhat    string // has {kind}
	removedTrust   string

	recoveryUsedSubject string
	recoveryUsedWhat    string
	recoveryNoneLeft    string
	recoveryOneLeft     string
	recoveryLeft        string // has {left}, for two codes and more

	recoveryMadeSubject string
	recoveryMadeWhat    string

	disabledSubject string
	disabledWhat    string

	unlockedSubject string
	unlockedWhat    string
	unlockedNotYou  string

	movedSubject string
	movedWhat    string
	movedWhere   string // says that the earlier and the new address get the message

	movedPhoneSubject string
	movedPhoneWhat    string
	movedPhoneFactor  string // says that codes go on being sent where they were

	undeliverableSubject string
	undeliverableWhat    string
	undeliverableDo      string

	resetSubject string
	resetWhat    string
	resetNext    string

	watchLockSubject     string
	watchLockWhat        string // has {user}
	watchLockDo          string
	watchResetSubject    string
	watchResetWhat       string // has {user}
	watchResetDo         string
	watchApprovalSubject string
	watchApprovalDo      string

	resetAskedSubject     string
	resetAskedWhat        string
	resetAskedDue         string // has {time}
	resetAskedApprove     string // for a reset that waits for an approver only
	resetAskedCancel      string // the link comes after it
	resetAskedText        string // in a text message; the link comes after it
	resetAskedNotYou      string
	resetCancelledSubject string
	resetCancelledWhat    string
	resetCancelledNotYou  string

	passIssuedSubject string
	passIssuedWhat    string
	passNever         string
	passUsedSubject   string
	passUsedWhat      string

	sumSubject string
	sumWhat    string
	sumOnce    string // has {what} and {time}
	sumTimes   string // has {what}, {times} and {time}

	changeNotYou string // stands at the end of every message about a change of how the account is protected

	kinds map[string]string // the kinds of factor, with their article

	qrName string // the name of the picture that an authenticator app scans

	moments  string // a time, made of {day}, {month}, {year}, {hour} (9), {hh} (09) and {mm}
	firstDay string // the first day of a month
	months   [12]string
}

// languages has the words of each language, by its ISO 639-1 code. A language must have all words.
var languages = map[string]*words{
	"en": {
		greeting:       "Hello,",
		greetingByName: "Hello {name},",

		codeSubject:  "Your {sender} security code (code {sequence})",
		codeWarning:  "Nobody from {sender} will ever ask for this code. Never give it to anyone, by phone, by message or in any other way.",
		codeConfirms: "Check that this is what you want to confirm. If it isn’t, don’t use the code:",
		codeIs:       "Here is your security code (code {sequence}):",
		underAMinute: "It is valid for less than a minute.",
		oneMinute:    "It is valid for 1 minute.",
		minutes:      "It is valid for {minutes} minutes.",
		codeLatest:   "If you receive several codes, only the latest one works. The letter tells them apart: this one is code {sequence}.",
		codeSpam:     "If you can’t find one of our messages, look in your spam folder.",
		codeNotYou:   "If you are not signing in or confirming something right now, someone may know your password: change it without delay.",

		codeText:             "never give this code to anyone, not even to us. Code {sequence}, valid for {valid}: ",
		codeTextUnderAMinute: "under 1 min",
		codeTextMinutes:      "{minutes} min",
		codeTextConfirms:     "To confirm: ",
		textNotYou:           "If it wasn’t you, change your password.",

		lockSubject: "Too many wrong codes for your {sender} account",
		lockWhat:    "Too many wrong codes were entered for your account.",
		lockUntil:   "To protect it, no code will be accepted until {time}, not even a right one.",
		lockForever: "To protect it, no code will be accepted any more, not even a right one, until you prove in another way that it is you, or until an administrator unlocks your account.",
		lockOver:    "To protect it, no code was accepted for a while. That is over now.",
		lockKnown:   "This holds in browsers where you have already given a right code.",
		lockOther:   "This does not hold in browsers where you have already given a right code: you can still sign in there.",
		lockNotYou:  "If it wasn’t you, someone may know your password: change it without delay and tell your administrator.",

		theftSubject: "A trusted browser was used in two places ({sender})",
		theftWhat:    "A browser that you chose to trust was used in two places. This happens when someone copies what a browser has stored.",
		theftEnded:   "We have ended that trust. You will be asked for a code there again.",
		theftYou:     "If you have just restored or moved that browser’s data yourself, you have nothing to do.",
		theftNotYou:  "If it wasn’t you, someone may be using your account: change your password without delay, on a device that you are sure of, and tell your administrator.",

		recoveryLockSubject: "Too many wrong recovery codes for your {sender} account",
		recoveryLockWhat:    "Too many wrong recovery codes were entered for your account.",
		recoveryLockWait:    "To protect it, no recovery code will be accepted for a while.",

		enrolledSubject: "A new way to sign in to your {sender} account",
		enrolledWhat:    "From now on your account can be confirmed with {kind}.",

		removedSubject: "A way to sign in was removed from your {sender} account",
		removedWhat:    "Your account can no longer be confirmed with {kind} that was set up for it.",
		removedTrust:   "No browser is trusted any more.",

		recoveryUsedSubject: "A recovery code of your {sender} account was used",
		recoveryUsedWhat:    "Someone has used one of the recovery codes of your account, to sign in or to confirm a change.",
		recoveryNoneLeft:    "There are no recovery codes left. Make a new set as soon as you can.",
		recoveryOneLeft:     "One recovery code is left. Make a new set as soon as you can.",
		recoveryLeft:        "{left} recovery codes are left.",

		recoveryMadeSubject: "New recovery codes for your {sender} account",
		recoveryMadeWhat:    "A new set of recovery codes was made for your account. The earlier ones no longer work.",

		disabledSubject: "Two-step sign-in was turned off for your {sender} account",
		disabledWhat:    "Your account no longer asks for a second proof that it is you.",

		unlockedSubject: "Your {sender} account was unlocked",
		unlockedWhat:    "An administrator has unlocked your account. Codes are accepted again.",
		unlockedNotYou:  "If you did not ask for this, tell your administrator without delay.",

		movedSubject: "The email address of your {sender} account has changed",
		movedWhat:    "The email address of your account was changed or removed.",
		movedWhere:   "This message goes to the earlier address and, if there is one, to the new address.",

		movedPhoneSubject: "The phone number of your {sender} account has changed",
		movedPhoneWhat:    "The phone number of your account was changed or removed.",
		movedPhoneFactor:  "Codes by text message still go to the numbers that you have set up for them.",

		undeliverableSubject: "Email for your {sender} account could not be delivered",
		undeliverableWhat:    "A message that we sent to an email address of your account was returned or refused. For a day, a code is sent there only if you ask for one.",
		undeliverableDo:      "If you no longer use that address, change it, or set up another way to sign in.",

		resetSubject: "Two-step sign-in was reset for your {sender} account",
		resetWhat:    "Two-step sign-in was reset for your account: every way to confirm it that you had set up, and its recovery codes, no longer work.",
		resetNext:    "When you sign in next, you may be asked to set it up again.",

		watchLockSubject:     "Too many wrong codes for a user’s {sender} account",
		watchLockWhat:        "Too many wrong codes were entered for the account of the user {user}.",
		watchLockDo:          "If it wasn’t the user, someone may know the user’s password. An administrator can unlock the account.",
		watchResetSubject:    "A reset was requested for a user’s {sender} account",
		watchResetWhat:       "A reset of two-step sign-in was requested for the account of the user {user}.",
		watchResetDo:         "Check with the user, in a way that you know, that this is what they want. An administrator can cancel the request.",
		watchApprovalSubject: "A reset of a user’s {sender} account waits for an approver",
		watchApprovalDo:      "It needs an approver. Check with the user, in a way that you know, that this is what they want, and approve or cancel the request.",

		resetAskedSubject:     "A reset of two-step sign-in was requested for your {sender} account",
		resetAskedWhat:        "Someone has asked to reset two-step sign-in for your account. A reset removes every way to confirm it that you have set up.",
		resetAskedDue:         "It will happen no earlier than {time}, and not at all if the request is cancelled.",
		resetAskedApprove:     "It will happen once an administrator has approved it, unless the request is cancelled.",
		resetAskedCancel:      "To cancel the request, open this page and press the button there:",
		resetAskedText:        "a reset of two-step sign-in was requested for your account. To cancel it: ",
		resetAskedNotYou:      "If you did not ask for this, cancel it, or tell your administrator without delay: someone may know your password.",
		resetCancelledSubject: "A reset of two-step sign-in was cancelled for your {sender} account",
		resetCancelledWhat:    "The request to reset two-step sign-in for your account was cancelled. Nothing has changed.",
		resetCancelledNotYou:  "If you need the reset, ask your administrator.",

		passIssuedSubject: "A one-time pass for your {sender} account",
		passIssuedWhat:    "An administrator has issued a pass for your account. Whoever has it can sign in with it once, in place of a code.",
		passNever:         "The administrator gives the pass to you, and nobody will ever ask you for it.",
		passUsedSubject:   "A one-time pass was used for your {sender} account",
		passUsedWhat:      "Someone has signed in to your account, or confirmed something, with the pass that an administrator had issued. It does not work any more.",

		sumSubject: "Several things have happened to your {sender} account",
		sumWhat:    "More has happened to your account than we send separate messages about. This is what we have not told you yet:",
		sumOnce:    "On {time}: {what}",
		sumTimes:   "{times} times, the last time on {time}: {what}",

		changeNotYou: "If it wasn’t you, someone may be using your account: change your password without delay, on a device that you are sure of, and tell your administrator.",

		kinds: map[string]string{
			"totp": "an authenticator app", "webauthn": "a security key or passkey", "sms": "codes by text message", "email": "codes by email",
		},

		qrName: "QR code to scan with an authenticator app",

		moments:  "{day} {month} {year} at {hh}:{mm} UTC",
		firstDay: "1",
		months: [12]string{"January", "February", "March", "April", "May", "June",
			"July", "August", "September", "October", "November", "December"},
	},
	// French puts a no-break space, \u00a0, before : ; ! and ?, and between a number and what it counts.
	"fr": {
		greeting:       "Bonjour,",
		greetingByName: "Bonjour {name},",

		codeSubject:  "Votre code de sécurité {sender} (code\u00a0{sequence})",
		codeWarning:  "Personne chez {sender} ne vous demandera jamais ce code. Ne le communiquez à personne, ni par téléphone, ni par message, ni autrement.",
		codeConfirms: "Vérifiez que c’est bien ce que vous voulez confirmer. Sinon, n’utilisez pas le code\u00a0:",
		codeIs:       "Voici votre code de sécurité (code\u00a0{sequence})\u00a0:",
		underAMinute: "Il est valable moins d’une minute.",
		oneMinute:    "Il est valable 1\u00a0minute.",
		minutes:      "Il est valable {minutes}\u00a0minutes.",
		codeLatest:   "Si vous recevez plusieurs codes, seul le dernier fonctionne. La lettre permet de les distinguer\u00a0: celui-ci est le code\u00a0{sequence}.",
		codeSpam:     "Si vous ne trouvez pas l’un de nos messages, regardez dans votre dossier de courrier indésirable (spam).",
		codeNotYou:   "Si vous n’êtes pas en train de vous connecter ou de confirmer une opération, quelqu’un connaît peut-être votre mot de passe\u00a0: changez-le sans attendre.",

		codeText:             "ne donnez ce code à personne, nous y compris. Code\u00a0{sequence}, valable {valid}\u00a0: ",
		codeTextUnderAMinute: "moins d’1\u00a0min",
		codeTextMinutes:      "{minutes}\u00a0min",
		codeTextConfirms:     "Pour confirmer\u00a0: ",
		textNotYou:           "Si ce n’était pas vous, changez votre mot de passe.",

		lockSubject: "Trop de codes erronés pour votre compte {sender}",
		lockWhat:    "Trop de codes erronés ont été saisis pour votre compte.",
		lockUntil:   "Pour le protéger, aucun code ne sera examiné avant le {time}, pas même un code correct.",
		lockForever: "Pour le protéger, aucun code ne sera plus examiné, pas même un code correct, jusqu’à ce que vous prouviez d’une autre manière que c’est bien vous, ou qu’un administrateur déverrouille votre compte.",
		lockOver:    "Pour le protéger, aucun code n’a été examiné pendant un certain temps. C’est maintenant terminé.",
		lockKnown:   "Cela vaut pour les navigateurs où vous avez déjà donné un code correct.",
		lockOther:   "Cela ne vaut pas pour les navigateurs où vous avez déjà donné un code correct\u00a0: vous pouvez toujours vous y connecter.",
		lockNotYou:  "Si ce n’était pas vous, quelqu’un connaît peut-être votre mot de passe\u00a0: changez-le sans attendre et prévenez votre administrateur.",

		theftSubject: "Un navigateur de confiance a été utilisé à deux endroits ({sender})",
		theftWhat:    "Un navigateur auquel vous aviez choisi de faire confiance a été utilisé à deux endroits. Cela arrive lorsque quelqu’un copie les données enregistrées par un navigateur.",
		theftEnded:   "Nous avons mis fin à cette confiance. Un code vous y sera de nouveau demandé.",
		theftYou:     "Si vous venez de restaurer ou de transférer vous-même les données de ce navigateur, vous n’avez rien à faire.",
		theftNotYou:  "Si ce n’était pas vous, quelqu’un utilise peut-être votre compte\u00a0: changez votre mot de passe sans attendre, depuis un appareil dont vous êtes sûr, et prévenez votre administrateur.",

		recoveryLockSubject: "Trop de codes de secours erronés pour votre compte {sender}",
		recoveryLockWhat:    "Trop de codes de secours erronés ont été saisis pour votre compte.",
		recoveryLockWait:    "Pour le protéger, aucun code de secours ne sera examiné pendant un certain temps.",

		enrolledSubject: "Un nouveau moyen de vous connecter à votre compte {sender}",
		enrolledWhat:    "Désormais, votre compte peut être confirmé avec {kind}.",

		removedSubject: "Un moyen de connexion a été retiré de votre compte {sender}",
		removedWhat:    "Votre compte ne peut plus être confirmé avec {kind} comme il avait été configuré.",
		removedTrust:   "Plus aucun navigateur n’est de confiance.",

		recoveryUsedSubject: "Un code de secours de votre compte {sender} a été utilisé",
		recoveryUsedWhat:    "Quelqu’un a utilisé l’un des codes de secours de votre compte, pour se connecter ou pour confirmer une modification.",
		recoveryNoneLeft:    "Il ne reste plus de code de secours. Créez-en de nouveaux dès que possible.",
		recoveryOneLeft:     "Il reste un code de secours. Créez-en de nouveaux dès que possible.",
		recoveryLeft:        "Il reste {left}\u00a0codes de secours.",

		recoveryMadeSubject: "De nouveaux codes de secours pour votre compte {sender}",
		recoveryMadeWhat:    "De nouveaux codes de secours ont été créés pour votre compte. Les précédents ne fonctionnent plus.",

		disabledSubject: "La connexion en deux étapes a été désactivée pour votre compte {sender}",
		disabledWhat:    "Votre compte ne demande plus de seconde preuve que c’est bien vous.",

		unlockedSubject: "Votre compte {sender} a été déverrouillé",
		unlockedWhat:    "Un administrateur a déverrouillé votre compte. Les codes sont de nouveau acceptés.",
		unlockedNotYou:  "Si vous ne l’avez pas demandé, prévenez votre administrateur sans attendre.",

		movedSubject: "L’adresse e-mail de votre compte {sender} a changé",
		movedWhat:    "L’adresse e-mail de votre compte a été modifiée ou supprimée.",
		movedWhere:   "Ce message est envoyé à l’ancienne adresse et, s’il y en a une, à la nouvelle.",

		movedPhoneSubject: "Le numéro de téléphone de votre compte {sender} a changé",
		movedPhoneWhat:    "Le numéro de téléphone de votre compte a été modifié ou supprimé.",
		movedPhoneFactor:  "Les codes par SMS sont toujours envoyés aux numéros que vous avez configurés pour cela.",

		undeliverableSubject: "Un e-mail de votre compte {sender} n’est pas arrivé à son adresse",
		undeliverableWhat:    "Un message que nous avons envoyé à une adresse e-mail de votre compte a été renvoyé ou refusé. Pendant une journée, un code n’y est envoyé que si vous en demandez un.",
		undeliverableDo:      "Si vous n’utilisez plus cette adresse, changez-la, ou configurez une autre façon de vous connecter.",

		resetSubject: "La connexion en deux étapes de votre compte {sender} a été réinitialisée",
		resetWhat:    "La connexion en deux étapes de votre compte a été réinitialisée\u00a0: les moyens de confirmation que vous aviez configurés et vos codes de secours ne fonctionnent plus.",
		resetNext:    "À votre prochaine connexion, il vous sera peut-être demandé de la configurer de nouveau.",

		watchLockSubject:     "Trop de codes erronés pour le compte {sender} d’un utilisateur",
		watchLockWhat:        "Trop de codes erronés ont été saisis pour le compte de l’utilisateur {user}.",
		watchLockDo:          "Si ce n’était pas cet utilisateur, quelqu’un connaît peut-être son mot de passe. Un administrateur peut déverrouiller le compte.",
		watchResetSubject:    "Une réinitialisation a été demandée pour le compte {sender} d’un utilisateur",
		watchResetWhat:       "Une réinitialisation de la connexion en deux étapes a été demandée pour le compte de l’utilisateur {user}.",
		watchResetDo:         "Vérifiez auprès de cet utilisateur, par un moyen que vous connaissez, que c’est bien ce qu’il souhaite. Un administrateur peut annuler la demande.",
		watchApprovalSubject: "La réinitialisation du compte {sender} d’un utilisateur attend une approbation",
		watchApprovalDo:      "Elle doit être approuvée. Vérifiez auprès de cet utilisateur, par un moyen que vous connaissez, que c’est bien ce qu’il souhaite, puis approuvez ou annulez la demande.",

		resetAskedSubject:     "Une réinitialisation de la connexion en deux étapes de votre compte {sender} a été demandée",
		resetAskedWhat:        "Quelqu’un a demandé de réinitialiser la connexion en deux étapes de votre compte. Une réinitialisation supprime tous les moyens de confirmation que vous avez configurés.",
		resetAskedDue:         "Elle n’aura pas lieu avant le {time}, ni si la demande est annulée.",
		resetAskedApprove:     "Elle aura lieu dès qu’un administrateur l’aura approuvée, sauf si la demande est annulée.",
		resetAskedCancel:      "Pour annuler la demande, ouvrez cette page et appuyez sur le bouton\u00a0:",
		resetAskedText:        "une réinitialisation de la connexion en deux étapes de votre compte a été demandée. Pour l’annuler\u00a0: ",
		resetAskedNotYou:      "Si vous n’avez pas fait cette demande, annulez-la, ou prévenez votre administrateur sans attendre\u00a0: quelqu’un connaît peut-être votre mot de passe.",
		resetCancelledSubject: "Une réinitialisation de la connexion en deux étapes de votre compte {sender} a été annulée",
		resetCancelledWhat:    "La demande de réinitialiser la connexion en deux étapes de votre compte a été annulée. Rien n’a changé.",
		resetCancelledNotYou:  "Si vous avez besoin de cette réinitialisation, adressez-vous à votre administrateur.",

		passIssuedSubject: "Un laissez-passer à usage unique pour votre compte {sender}",
		passIssuedWhat:    "Un administrateur a émis un laissez-passer pour votre compte. Qui le détient peut s’en servir une fois pour se connecter, à la place d’un code.",
		passNever:         "C’est l’administrateur qui vous le remet, et personne ne vous le demandera jamais.",
		passUsedSubject:   "Un laissez-passer a été utilisé pour votre compte {sender}",
		passUsedWhat:      "Quelqu’un s’est connecté à votre compte, ou a confirmé une opération, avec le laissez-passer qu’un administrateur avait émis. Il ne fonctionne plus.",

		sumSubject: "Plusieurs événements concernent votre compte {sender}",
		sumWhat:    "Votre compte a connu plus d’événements que nous n’envoyons de messages séparés. Voici ce que nous ne vous avons pas encore dit\u00a0:",
		sumOnce:    "Le {time}\u00a0: {what}",
		sumTimes:   "{times}\u00a0fois, la dernière le {time}\u00a0: {what}",

		changeNotYou: "Si ce n’était pas vous, quelqu’un utilise peut-être votre compte\u00a0: changez votre mot de passe sans attendre, depuis un appareil dont vous êtes sûr, et prévenez votre administrateur.",

		kinds: map[string]string{
			"totp": "une application d’authentification", "webauthn": "une clé de sécurité ou une clé d’accès", "sms": "des codes par SMS", "email": "des codes par e-mail",
		},

		qrName: "Code QR à scanner avec une application d’authentification",

		moments:  "{day}\u00a0{month} {year} à {hour}\u00a0h\u00a0{mm} (UTC)",
		firstDay: "1er",
		months: [12]string{"janvier", "février", "mars", "avril", "mai", "juin",
			"juillet", "août", "septembre", "octobre", "novembre", "décembre"},
	},
}
