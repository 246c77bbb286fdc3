package api

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"html"
	"net/http"
	"strings"

	"countersign/pkg/mfa"
	"countersign/pkg/seal"
)

// The page of a link that cancels a request for a reset. Mail programs open links by themselves, so a GET shows a button and does
// nothing, and the POST of that button cancels. The page needs no account, runs no script and loads nothing.
const (
	cancelPage = `<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title} · Countersign</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p>{says}</p>
{form}</main>
</body>
</html>
`
	cancelForm  = `<form method="post"><button>{button}</button></form>` + "\n"
	cancelStyle = explainStyle + `
button{margin-top:1.5rem;padding:.75rem 1.5rem;border:0;border-radius:.5rem;background:var(--mark);color:var(--paper);font:inherit;cursor:pointer}`
)

// A cancelText has the texts of the page in one language.
type cancelText struct{ ask, explains, button, done, nothing, gone, late string }

var cancelTexts = map[string]cancelText{
	"en": {
		ask:      "Cancel the reset of two-step sign-in?",
		explains: "Someone has asked to reset two-step sign-in for your account. If that wasn’t you, cancel the request. Nothing of your account changes then.",
		button:   "Cancel the request",
		done:     "The request is cancelled",
		nothing:  "Nothing of your account has changed. If you did not ask for the reset, someone may know your password: change it without delay and tell your administrator.",
		gone:     "This request doesn’t wait any more",
		late:     "It was cancelled or carried out already, or the link is not whole. If you did not ask for a reset, tell your administrator without delay.",
	},
	"fr": {
		ask:      "Annuler la réinitialisation de la connexion en deux étapes\u00a0?",
		explains: "Quelqu’un a demandé de réinitialiser la connexion en deux étapes de votre compte. Si ce n’était pas vous, annulez la demande. Rien ne change alors pour votre compte.",
		button:   "Annuler la demande",
		done:     "La demande est annulée",
		nothing:  "Rien n’a changé pour votre compte. Si vous n’avez pas demandé la réinitialisation, quelqu’un connaît peut-être votre mot de passe\u00a0: changez-le sans attendre et prévenez votre administrateur.",
		gone:     "Cette demande n’est plus en attente",
		late:     "Elle a déjà été annulée ou exécutée, ou le lien n’est pas complet. Si vous n’avez pas demandé de réinitialisation, prévenez votre administrateur sans attendre.",
	},
}

// cancelTextsIn returns the texts in the language that a path names, and its code. For a language that isn't there, it is English.
func cancelTextsIn(language string) (string, cancelText) {
	if t, known := cancelTexts[language]; known {
		return language, t
	}
	return "en", cancelTexts["en"]
}

// cancelAnswer is the page with a title and a text, in one language.
func cancelAnswer(status int, language, title, says, form string) answer {
	page := strings.NewReplacer(
		"{style}", cancelStyle, "{language}", language, "{title}", html.EscapeString(title), "{says}", html.EscapeString(says), "{form}", form,
	).Replace(cancelPage)
	style := sha256.Sum256([]byte(cancelStyle))
	return answer{
		status: status, contentType: "text/html; charset=utf-8", body: []byte(page),
		contentPolicy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(style[:]) +
			"'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
	}
}

// showCancel answers the GET of a link. It reads and consumes nothing, so it is the same for every handle.
func showCancel(_ *exchange, values map[string]string) (answer, error) {
	language, t := cancelTextsIn(values["language"])
	form := strings.ReplaceAll(cancelForm, "{button}", html.EscapeString(t.button))
	return cancelAnswer(http.StatusOK, language, t.ask, t.explains, form), nil
}

// cancels answers the POST of the button.
func cancels(s *mfa.Service) handler {
	return open(func(x *exchange, values map[string]string) (answer, error) {
		language, t := cancelTextsIn(values["language"])
		err := s.CancelByLink(x.ctx, seal.NewSecret(values["handle"]))
		var refused *mfa.Error
		switch {
		case err == nil:
			return cancelAnswer(http.StatusOK, language, t.done, t.nothing, ""), nil
		case errors.As(err, &refused) && refused.Code == mfa.NotFound:
			return cancelAnswer(http.StatusNotFound, language, t.gone, t.late, ""), nil
		}
		return answer{}, err
	})
}

// A handleRequest gives a handle.
type handleRequest struct {
	Handle seal.Secret `json:"handle"`
}

// redeems answers the call that gives a bearer in exchange for a handle. The handle is all that the caller needs.
func redeems(s *mfa.Service) handler {
	return func(x *exchange, _ map[string]string) (answer, error) {
		if _, err := parseQuery(x.r.URL.RawQuery); err != nil {
			return answer{}, err
		}
		body, err := x.body(false, false)
		if err != nil {
			return answer{}, err
		}
		var q handleRequest
		if err := decode(body, &q, nil, nil); err != nil {
			return answer{}, err
		}
		if q.Handle.IsZero() {
			return answer{}, invalid("handle", "The handle is required.")
		}
		say := func(res any) (a answer, err error) {
			a.status = http.StatusOK
			err = a.write(res)
			return a, err
		}
		var call mfa.Call
		if call.Replay, err = x.replay(body, say); err != nil {
			return answer{}, err
		}
		redeemed, err := s.RedeemHandle(x.ctx, call, q.Handle)
		if err != nil {
			return answer{}, err
		}
		return say(redeemed)
	}
}
