package cloud

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// Amazon publishes these: https://www.amazontrust.com/repository/
var publishedRoots = map[string]string{
	"Amazon Root CA 1": "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e",
	"Amazon Root CA 2": "1ba5b2aa8c65401a82960118f80bec4f62304d83cec4713a19c39c011ea46db4",
	"Amazon Root CA 3": "18ce6cfe7bf14e60b2e347b8dfe868cb31d02ebb3ada271569f50343b46db3a4",
	"Amazon Root CA 4": "e35d28419ed02025cfa69038cd623962458da5c695fbdea3c22b0bfb25897092",
	"Starfield Services Root Certificate Authority - G2": "568d6905a2c88708a4b3025190edcfedb1974a606a13c6e5290fcb2ae63edab5",
}

func TestTheEmbeddedRootsAreTheFiveThatAmazonPublishesAndLastAWhile(t *testing.T) {
	left := map[string]bool{}
	for name := range publishedRoots {
		left[name] = true
	}
	for rest := amazonRoots; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		root, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		name, sum := root.Subject.CommonName, sha256.Sum256(block.Bytes)
		if got, want := hex.EncodeToString(sum[:]), publishedRoots[name]; got != want || !left[name] {
			t.Errorf("%s: got fingerprint %s, want %q, once", name, got, want)
		}
		delete(left, name)
		if years := time.Until(root.NotAfter).Hours() / 24 / 365; years < 3 {
			t.Errorf("%s ends in %.1f years, want 3 at least: see whether Amazon has newer ones", name, years)
		}
	}
	if len(left) > 0 {
		t.Errorf("missing: %v", left)
	}
}

// secureServer starts a TLS server on loopback, for example.com and 127.0.0.1. It returns the pool that trusts its certificate.
func secureServer(t *testing.T) (address string, pool *x509.CertPool, handshakes *atomic.Int32) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }))
	handshakes = &atomic.Int32{}
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			handshakes.Add(1)
		}
	}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	pool = x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return s.Listener.Addr().String(), pool, handshakes
}

func TestAHostIsTrustedIfOnePoolVouchesForItWhole(t *testing.T) {
	address, known, handshakes := secureServer(t)
	amazon := x509.NewCertPool()
	amazon.AppendCertsFromPEM(amazonRoots)
	for _, test := range []struct {
		name       string
		roots      []*x509.CertPool
		trusted    bool
		handshakes int32
	}{
		{"the first pool", []*x509.CertPool{known, amazon}, true, 1},
		{"the fallback", []*x509.CertPool{amazon, known}, true, 2},
		{"no pool", []*x509.CertPool{amazon, x509.NewCertPool()}, false, 2},
		{"not even the system's", []*x509.CertPool{amazon, nil}, false, 2},
	} {
		handshakes.Store(0)
		conn, err := (&connector{roots: test.roots}).secure(t.Context(), "tcp", address)
		if trusted := err == nil; trusted != test.trusted || handshakes.Load() != test.handshakes {
			t.Errorf("%s: got trusted %v after %d handshakes (%v), want %v after %d",
				test.name, trusted, handshakes.Load(), err, test.trusted, test.handshakes)
		}
		if err == nil {
			conn.Close()
		} else if _, ok := errors.AsType[*unconnected](err); !ok {
			t.Errorf("%s: got %T, want that it says that there was no connection", test.name, err)
		}
	}
}

func TestACertificateForAnotherHostIsRefusedByEveryPool(t *testing.T) {
	address, known, _ := secureServer(t)
	_, port, _ := net.SplitHostPort(address)
	conn, err := (&connector{roots: []*x509.CertPool{known, known}}).secure(t.Context(), "tcp", "localhost:"+port)
	if err == nil {
		conn.Close()
		t.Fatal("a certificate for 127.0.0.1 was good for localhost")
	}
	if wrong, ok := errors.AsType[x509.HostnameError](err); !ok {
		t.Errorf("got %v, want %T", err, wrong)
	}
}

func TestTheTransportTrustsAmazonsRootsThenTheSystems(t *testing.T) {
	address, _, handshakes := secureServer(t)
	client := &http.Client{Transport: newTransport(newConnector())}
	if res, err := client.Get("https://" + address); err == nil {
		res.Body.Close()
		t.Fatal("a certificate of nobody's was trusted")
	}
	if got := handshakes.Load(); got != 2 {
		t.Errorf("got %d handshakes, want one for Amazon's roots and one for the system's", got)
	}
}

func TestWhatIsTriedAgainEndsBeforeTheFunctionDoes(t *testing.T) {
	const each = Attempts*attemptTime + (Attempts-1)*longestPause
	if each >= callTime {
		t.Errorf("the attempts at one thing take %s, want less than a call's %s", each, callTime)
	}
	if messageTime >= callTime {
		t.Errorf("an attempt at handing over a message takes %s, want less than a call's %s", messageTime, callTime)
	}
	if callTime >= functionTime || functionTime >= 30*time.Second {
		t.Errorf("a call takes %s, a function %s: want the first under the second, and that under API Gateway's 30s", callTime, functionTime)
	}
	for attempt := range 100 {
		if pause := pauseBefore(attempt); pause < 0 || pause > longestPause {
			t.Errorf("got a pause of %s before attempt %d, want at most %s", pause, attempt, longestPause)
		}
	}
}
