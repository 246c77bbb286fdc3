package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"

	"countersign/infra/amazon"
	"countersign/infra/dynamolocal"
)

// An account stands in for Amazon's services, over TLS, and meters all calls. DynamoDB Local is behind one address and the
// other services are behind another, because in a region of Amazon each service has a host of its own.
type account struct {
	*amazon.Account
	table     string // the URL at which the functions find DynamoDB
	services  string // the URL of all other services
	authority *authority
	closings  []func()

	mu      sync.Mutex
	sizes   ledger
	metered usage
}

func openAccount(ctx context.Context) (_ *account, err error) {
	a := &account{Account: &amazon.Account{}, sizes: ledger{}}
	a.Around = a.meter
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	if _, err := dynamolocal.Install(ctx, nil); err != nil {
		return nil, err
	}
	server, err := dynamolocal.Start(ctx, dynamolocal.Options{})
	if err != nil {
		return nil, err
	}
	a.closings = append(a.closings, server.Stop)
	a.Table = server.Endpoint
	if a.authority, err = newAuthority(); err != nil {
		return nil, err
	}
	if a.table, err = a.listen(); err != nil {
		return nil, err
	}
	a.services, err = a.listen()
	return a, err
}

// listen serves the account over TLS. Like Amazon's endpoints it speaks only HTTP/1.1.
func (a *account) listen() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	web := &http.Server{Handler: a.Account, ErrorLog: log.New(io.Discard, "", 0)}
	go web.Serve(tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{a.authority.served}, NextProtos: []string{"http/1.1"}}))
	a.closings = append(a.closings, func() { web.Close() })
	return "https://" + listener.Addr().String(), nil
}

func (a *account) close() {
	for i := len(a.closings) - 1; i >= 0; i-- {
		a.closings[i]()
	}
}

type object = map[string]any

// meter answers a request, and adds the request and its answer to what was metered.
func (a *account) meter(w http.ResponseWriter, c *amazon.Call, answer http.HandlerFunc) {
	asked := c.Body
	if c.Service == amazon.DynamoDB {
		c.Body = metering(asked)
	}
	said := httptest.NewRecorder()
	answer(said, c.Request)
	a.mu.Lock()
	switch c.Service {
	case amazon.DynamoDB:
		a.metered.table(c.Operation, asked, said.Code, said.Body.Bytes(), a.sizes)
	case amazon.KMS:
		a.metered.kms++
	case amazon.SES:
		a.metered.emails++
	case amazon.EventBridge:
		a.metered.bus(asked)
	}
	a.mu.Unlock()
	maps.Copy(w.Header(), said.Header())
	w.WriteHeader(said.Code)
	w.Write(said.Body.Bytes())
}

// bus adds a request to EventBridge, which charges for each 64 KB of an event.
func (u *usage) bus(request []byte) {
	var asked struct{ Entries []struct{ Detail string } }
	json.Unmarshal(request, &asked) // a request that is not JSON is refused, and costs nothing
	for _, e := range asked.Entries {
		u.busEvents += (len(e.Detail) + 64<<10 - 1) / (64 << 10)
	}
}

// code returns the code that was sent to an address last.
func (a *account) code(address string) string {
	m, _ := a.LastMessage(address)
	return m.Code()
}

// take returns what was metered since the last call of take.
func (a *account) take() usage {
	a.mu.Lock()
	defer a.mu.Unlock()
	metered := a.metered
	a.metered = usage{}
	return metered
}
