package message

import (
	"strings"
	"testing"
)

func TestEveryTopicIsInEveryMessageThatSumsUp(t *testing.T) {
	for topic := range topics {
		for _, language := range Languages() {
			n := testedNotice()
			single := noticeOf(topic, "Acme", language, n)
			_, rest, _ := strings.Cut(single.Text, "\n\n") // after the greeting
			want, _, _ := strings.Cut(rest, "\n\n")
			m := Sum(n.by("Acme", language), []Item{{Topic: topic, Kind: "totp", Times: 1, Last: n.Until}})
			if want == "" || !strings.Contains(m.Text, want) {
				t.Errorf("%s in %s: want %q in\n%s", topic, language, want, m.Text)
			}
		}
	}
}

func TestANoticeThatSumsUpLeavesOutWhatThisBuildDoesNotKnow(t *testing.T) {
	n := testedNotice()
	sum := Sum(n.by("Acme", "en"), []Item{{Topic: "surprise", Times: 1}, {Topic: Theft, Times: 1}})
	only := Sum(n.by("Acme", "en"), []Item{{Topic: Theft, Times: 1}})
	if sum.Text != only.Text || !strings.Contains(sum.Text, languages["en"].theftWhat) {
		t.Errorf("got\n%s\nwant\n%s", sum.Text, only.Text)
	}
	if m, ok := About("surprise", n.by("Acme", "en"), n.Facts); ok || m.Text != "" {
		t.Errorf("got %+v, want no message", m)
	}
}

func TestALockNoticeSaysInWhichBrowsersItHolds(t *testing.T) {
	for _, topic := range []string{Lock, RecoveryLock} {
		for browsers, want := range map[string]string{KnownBrowsers: "This holds in browsers where", OtherBrowsers: "This does not hold in browsers where", AllBrowsers: "", "": ""} {
			n := testedNotice()
			n.Browsers = browsers
			text := noticeOf(topic, "Acme", "en", n).Text
			if want == "" && strings.Contains(text, "in browsers") || !strings.Contains(text, want) {
				t.Errorf("%s that holds in %q browsers: got\n%s", topic, browsers, text)
			}
		}
	}
}
