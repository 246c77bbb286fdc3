package cloud

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"
)

// newLobby starts a server on loopback that answers each request with the address that the request came from.
func newLobby(t *testing.T) url.URL {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RemoteAddr) }))
	t.Cleanup(s.Close)
	at, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return *at
}

// waiting returns the addresses of the connections to a server that were opened ahead, once they are open.
func waiting(d *Deployment, at url.URL) (from []string) {
	for _, e := range d.opener.ahead[at.Host] {
		if <-e.opened; e.err == nil {
			from = append(from, e.conn.LocalAddr().String())
		}
	}
	return from
}

// ask sends a request to a server on a connection that the client hasn't used before, and returns the address from which it was
// sent.
func ask(t *testing.T, client interface {
	Do(*http.Request) (*http.Response, error)
}, at url.URL) (from string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	said, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(said)
}

func TestConnectionsThatWereOpenedAheadAreUsedOnceEachAndFirst(t *testing.T) {
	d, at := newWorld(t).open(), newLobby(t)
	d.ConnectAhead(at, 2)
	want := waiting(d, at)
	if got := []string{ask(t, d.http, at), ask(t, d.http, at)}; len(want) != 2 || !slices.Equal(got, want) {
		t.Errorf("asked from %v, want from %v, which were opened ahead", got, want)
	}
	if got := ask(t, d.http, at); slices.Contains(want, got) || len(waiting(d, at)) > 0 {
		t.Errorf("asked from %s, want from another address when none is left of %v", got, want)
	}
}

func TestAConnectionThatHasWaitedForSecondsIsNotUsed(t *testing.T) {
	for after, want := range map[time.Duration]bool{
		0: true, longestAhead - time.Millisecond: true, longestAhead: false, time.Hour: false, -time.Millisecond: false,
	} {
		d, at := newWorld(t).open(), newLobby(t)
		now := time.Now()
		d.opener.wall = func() time.Time { return now }
		d.ConnectAhead(at, 1)
		early := waiting(d, at)
		now = now.Add(after)
		if got := slices.Contains(early, ask(t, d.http, at)); got != want {
			t.Errorf("after %s: got used %v, want %v", after, got, want)
		}
	}
}

func TestAConnectionThatCouldNotBeOpenedAheadIsOpenedWhenItIsNeeded(t *testing.T) {
	d, at := newWorld(t).open(), newLobby(t)
	failed := &earlyConn{opened: make(chan struct{}), err: io.EOF, began: d.wall()}
	close(failed.opened)
	d.opener.ahead = map[string][]*earlyConn{at.Host: {failed}}
	if got := ask(t, d.http, at); got == "" {
		t.Error("the request came from nowhere")
	}
}

// A message is handed over on a new connection, which the other end can't have closed already.
func TestAMessageIsNeverHandedOverOnAConnectionThatWasOpenedAhead(t *testing.T) {
	w, at := newWorld(t), newLobby(t)
	w.Env["COUNTERSIGN_SES_ENDPOINT"] = at.String()
	d := w.open()
	d.ConnectAhead(at, 1)
	early := waiting(d, at)
	if got := ask(t, d.Courier("email", "COUNTERSIGN_SES_ENDPOINT", nil).Amazon.HTTPClient, at); slices.Contains(early, got) {
		t.Errorf("asked from %s, which was opened ahead", got)
	}
}

func TestTwoConnectionsToTheTableAreOpenedAhead(t *testing.T) {
	w, table := newWorld(t), newLobby(t)
	w.Env["COUNTERSIGN_DYNAMODB_ENDPOINT"] = table.String()
	d := w.open()
	d.Store()
	d.Store()
	if got := waiting(d, table); len(got) != 2 {
		t.Errorf("got connections from %v, want 2", got)
	}
}
