package demo_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
)

func TestAPersonWhosePhoneIsFastOrSlowIsToldWhatToDo(t *testing.T) {
	b := in(t)
	b.ask("app")
	for off, said := range map[time.Duration]string{5 * time.Minute: "about 5 minutes fast", -8 * time.Minute: "about 8 minutes slow"} {
		code, err := totp.GenerateCode(strings.ReplaceAll(b.key(), " ", ""), b.now().Add(off))
		if err != nil {
			t.Fatal(err)
		}
		b.submit("/demo/finish", "code", code)
		b.want("That code is not right.", said)
	}
	b.submit("/demo/finish", "code", "000000")
	b.want("That code is not right. Is this the newest entry in the app?")
}
