package mfa_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
)

var payment = mfa.Action{Name: "pay", Lines: []string{"Pay 1,250.00 EUR", "to Élodie {sender} <b>Martin</b>"}}

func TestAConfirmationIsInTheMessageTheTokenAndTheActivity(t *testing.T) {
	w := kls(t, nil)
	q := ana()
	q.Purpose, q.Action = mfa.StepUp, &payment
	ch := started(t, w, q)
	if ch.Action == nil || *ch.Action != "pay" || !slices.Equal(ch.ActionLines, payment.Lines) {
		t.Errorf("got the action %v and the lines %q, want those of the start", ch.Action, ch.ActionLines)
	}
	shown := func() {
		t.Helper()
		mails := w.Outbox.To(mail)
		m := mails[len(mails)-1]
		text, code := m.Text, m.Code.Reveal()
		for _, line := range payment.Lines {
			if at := strings.Index(text, line); at < 0 || at > strings.Index(text, code) || !strings.Contains(text, code) {
				t.Errorf("got %q, want the line %q before the code", text, line)
			}
		}
		if strings.Contains(m.HTML, "<b>Martin") || !strings.Contains(m.HTML, "&lt;b&gt;Martin") {
			t.Errorf("got %q, want no markup of a line in it", m.HTML)
		}
		if strings.Contains(m.Subject, "1,250") {
			t.Errorf("got the subject %q, want no line in it", m.Subject)
		}
	}
	shown()
	w.Clock.Advance(60e9)
	if _, err := w.SendCode(t.Context(), w.Client, mfa.SendRequest{Challenge: ch.ID, Factor: *ch.Default}); err != nil {
		t.Fatal(err)
	}
	shown() // another code for the same challenge
	verified, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ch.ID, Answer: mfa.Answer{Code: w.Outbox.Code(t, mail)}})
	if err != nil {
		t.Fatal(err)
	}
	said := claims(t, w, verified.Token)
	var lines []string
	for _, line := range said["action_lines"].([]any) {
		lines = append(lines, line.(string))
	}
	if said["action"] != "pay" || !slices.Equal(lines, payment.Lines) {
		t.Errorf("got the claims %v and %q, want those of the start", said["action"], lines)
	}
	sum := sha256.Sum256([]byte("pay\nPay 1,250.00 EUR\nto Élodie {sender} <b>Martin</b>"))
	found := false
	for _, e := range events(t, w, mfa.ChallengeStarted) {
		found = e.Data["action"] == "pay" && e.Data["action_digest"] == base64.RawURLEncoding.EncodeToString(sum[:])
		if text, _ := json.Marshal(e); strings.Contains(string(text), "1,250") {
			t.Errorf("got %s, want no line in it", text)
		}
	}
	if !found {
		t.Error("no event has the digest of what was confirmed")
	}
}

func TestAnActionWithoutLinesIsItsNameAlone(t *testing.T) {
	w := kls(t, nil)
	q := ana()
	q.Purpose, q.Action = mfa.StepUp, &mfa.Action{Name: "pay"}
	ch := started(t, w, q)
	verified, err := w.Verify(t.Context(), w.Client, mfa.VerifyRequest{Challenge: ch.ID, Answer: mfa.Answer{Code: w.Outbox.Code(t, mail)}})
	if err != nil {
		t.Fatal(err)
	}
	if said := claims(t, w, verified.Token); said["action"] != "pay" || len(said["action_lines"].([]any)) != 0 || ch.ActionLines == nil {
		t.Errorf("got %v, want the name and no lines", said)
	}
}

func TestWhatIsConfirmedIsShortAndReadable(t *testing.T) {
	w := mfatest.New(t)
	line := strings.Repeat("x", 120)
	for name, c := range map[string]struct {
		action  mfa.Action
		purpose string
		param   string // empty: it is taken
	}{
		"eight lines":               {mfa.Action{Name: "pay", Lines: slices.Repeat([]string{line}, 8)}, mfa.StepUp, ""},
		"nine lines":                {mfa.Action{Name: "pay", Lines: slices.Repeat([]string{line}, 9)}, mfa.StepUp, "action.lines"},
		"a line that is too long":   {mfa.Action{Name: "pay", Lines: []string{line + "x"}}, mfa.StepUp, "action.lines"},
		"an empty line":             {mfa.Action{Name: "pay", Lines: []string{"Pay 5 EUR", ""}}, mfa.StepUp, "action.lines"},
		"a line of spaces":          {mfa.Action{Name: "pay", Lines: []string{"\u2003 "}}, mfa.StepUp, "action.lines"},
		"two lines in one":          {mfa.Action{Name: "pay", Lines: []string{"Pay 5 EUR\nto Bob"}}, mfa.StepUp, "action.lines"},
		"bytes that are not UTF-8":  {mfa.Action{Name: "pay", Lines: []string{"Pay \xff"}}, mfa.StepUp, "action.lines"},
		"lines without a name":      {mfa.Action{Lines: []string{"Pay 5 EUR"}}, mfa.StepUp, "action.name"},
		"lines of a sign-in":        {mfa.Action{Name: "pay", Lines: []string{"Pay 5 EUR"}}, mfa.SignIn, "action.lines"},
		"a name of a sign-in":       {mfa.Action{Name: "pay"}, mfa.SignIn, ""},
		"a name that is too long":   {mfa.Action{Name: strings.Repeat("x", 257)}, mfa.StepUp, "action"},
		"no lines, and not a list":  {mfa.Action{Name: "pay", Lines: nil}, mfa.StepUp, ""},
		"no lines in an empty list": {mfa.Action{Name: "pay", Lines: []string{}}, mfa.StepUp, ""},
	} {
		q := ana()
		q.Purpose, q.Action = c.purpose, &c.action
		_, err := w.Decide(t.Context(), w.Client, q)
		if e := mfa.AsError(err); c.param == "" && err != nil && e.Code == mfa.InvalidRequest || c.param != "" && (err == nil || e.Code != mfa.InvalidRequest || e.Param != c.param) {
			t.Errorf("%s: got %v about %q, want %q", name, err, mfa.AsError(err).Param, c.param)
		}
	}
}
