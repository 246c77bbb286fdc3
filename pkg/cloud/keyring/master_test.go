package keyring

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"countersign/infra/amazon/amazontest"
	"countersign/pkg/cloud"
)

func TestWhatMayPassIsAskedOfKMSAgainAndWhatMayNotIsNot(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		body   string
		again  bool
	}{
		"a server error": {500, `{"__type":"KMSInternalException"}`, true},
		"one too many":   {400, `{"__type":"ThrottlingException"}`, true},
		"a lost answer":  {amazontest.Lose, "", true},
		"a refusal":      {400, `{"__type":"DisabledException"}`, false},
	} {
		w := amazontest.New(t)
		w.Answer(func(q amazontest.Asked) (int, string) {
			if q.N == 1 {
				return test.status, test.body
			}
			return 0, "" // as KMS does
		})
		master := Of(cloud.Open(cloud.Process{Step: "verify", Environment: w.Getenv, Output: &w.Log})).master
		_, _, err := master.newDataKey(t.Context())
		if again := len(w.Requests()) == 2; again != test.again || again != (err == nil) {
			t.Errorf("%s: got %v after %d requests, want it asked again: %v", name, err, len(w.Requests()), test.again)
		}
	}
}

func TestAnAnswerOfKMSThatIsNoKeyIsAnError(t *testing.T) {
	const key = `"Plaintext":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="` // 32 bytes
	for _, c := range []struct {
		body         string
		made, opened bool // whether each of the two answers can be used
	}{
		{`{}`, false, false}, {`{"Plaintext":"AAAA","CiphertextBlob":"AAAA"}`, false, false},
		{`{` + key + `}`, false, true}, {`{` + key + `,"CiphertextBlob":"AAAA"}`, true, true},
	} {
		w := amazontest.New(t)
		w.Answer(func(amazontest.Asked) (int, string) { return 200, c.body })
		master := Of(cloud.Open(cloud.Process{Step: "verify", Environment: w.Getenv, Output: &w.Log})).master
		if _, _, err := master.newDataKey(t.Context()); (err == nil) != c.made {
			t.Errorf("%s: got %v for a key that was made, want it taken: %v", c.body, err, c.made)
		}
		if _, err := master.openDataKey(t.Context(), []byte{1}); (err == nil) != c.opened {
			t.Errorf("%s: got %v for a key that was opened, want it taken: %v", c.body, err, c.opened)
		}
	}
}

func TestAConnectionToKMSIsOpenedBeforeItIsAsked(t *testing.T) {
	opened := make(chan bool)
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened <- true
		}
	}
	s.Start()
	defer s.Close()
	w := amazontest.New(t)
	w.Env["COUNTERSIGN_KMS_ENDPOINT"] = s.URL
	Of(cloud.Open(cloud.Process{Step: "verify", Environment: w.Getenv, Output: &w.Log}))
	<-opened // if no connection is opened, this waits until the time for the test is over
}
