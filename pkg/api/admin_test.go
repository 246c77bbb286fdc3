package api_test

import (
	"testing"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
)

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
