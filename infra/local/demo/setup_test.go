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
	b.want("That code is not right. Did you use the newest entry in the app?")
}

func TestACodeIsTakenAsItIsPasted(t *testing.T) {
	for _, write := range []func(string) string{
		func(c string) string { return c[:3] + " " + c[3:] },
		func(c string) string { return " " + c[:3] + "\u00a0" + c[3:] + "\n" },
		func(c string) string { return c[:3] + "-" + c[3:] },
		func(c string) string { return c[:2] + "\u2013" + c[2:4] + " " + c[4:] },
	} {
		b := open(t)
		b.signIn("ana")
		b.submit("/demo/code", "code", write(b.code()))
		b.want("Hello, ana")
		b.ask("app")
		b.submit("/demo/scan")
		b.submit("/demo/finish", "code", write(b.appCode()))
		b.want("Your recovery codes")
	}
}
