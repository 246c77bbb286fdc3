package api_test

import (
	"testing"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
)

func TestC5AnAdministratorResetsAUser(t *testing.T) {
	w := newWorld(t)
	w.enrolled()
	for what, body := range map[string]string{
		"reason": `{"actor":"olga"}`, "actor": `{"reason":"lost"}`,
	} {
		w.refused("without "+what, w.do("POST", anasPath+"/reset", body), 400, mfa.InvalidRequest, what)
	}
	w.refused("of nobody", w.do("POST", anasPath+"8/reset", `{"actor":"olga","reason":"lost"}`), 404, mfa.NotFound, "")
	w.refused("by the user", w.do("POST", anasPath+"/reset", `{"actor":"u-17","reason":"lost"}`), 403, mfa.Forbidden, "")
	reset := w.wants("a reset", w.do("POST", anasPath+"/reset", `{"actor":"olga","reason":"lost"}`), 200)
	if factors, _ := reset.at("factors").([]any); len(factors) > 0 || reset.at("enabled") != false {
		t.Errorf("got %s, want no 2FA", reset.text)
	}
}

func TestAnAdministratorUnlocksAUser(t *testing.T) {
	w := newWorld(t)
	w.asks()
	for range 2 {
		id := w.start().word("challenge.id")
		wrong := mfatest.Wrong(seal.NewSecret(w.mail.last())).Reveal()
		for range 5 {
			w.refused("a wrong code", w.do("POST", "/v1/challenges/"+id+"/verify", `{"code":"`+wrong+`"}`), 422, mfa.WrongCode, "")
		}
	}
	if locked := w.do("GET", anasPath, ""); locked.word("status") != "locked" || locked.at("locked_until") == nil {
		t.Fatalf("got %s, want locked", locked.text)
	}
	w.refused("without a reason", w.do("POST", anasPath+"/unlock", `{"actor":"olga"}`), 400, mfa.InvalidRequest, "reason")
	w.refused("by nobody", w.do("POST", anasPath+"/unlock", `{"reason":"called"}`), 400, mfa.InvalidRequest, "actor")
	w.refused("of nobody", w.do("POST", anasPath+"8/unlock", `{"actor":"olga","reason":"called"}`), 404, mfa.NotFound, "")
	for range 2 {
		unlocked := w.wants("an unlock", w.do("POST", anasPath+"/unlock", `{"actor":"olga","reason":"called"}`), 200)
		if unlocked.word("status") != "protected" || unlocked.at("locked_until") != nil {
			t.Errorf("got %s, want unlocked", unlocked.text)
		}
	}
}
