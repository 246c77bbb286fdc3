package cloud

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"errors"
	"net"
	"net/http"
	"time"
)

// amazonRoots are the root certificates of Amazon's endpoints. Reading these five takes a hundredth of the time that it takes to
// read all that a system trusts. https://www.amazontrust.com/repository/
//
//go:embed roots.pem
var amazonRoots []byte

const (
	connectTime = time.Second // for TCP, and again for TLS
	idleTime    = 30 * time.Second
	mostIdle    = 8        // how many connections are kept open to one host
	mostHeaders = 64 << 10 // bytes
)

// newTransport makes the HTTP transport for calls to Amazon. It uses no proxy.
//
// A connection that was idle for longer than idleTime, by this machine's clock, isn't used again. The other end may have closed
// it while Lambda kept the process frozen.
func newTransport(by dialer) *http.Transport {
	return &http.Transport{
		DialContext:            by.plain,
		DialTLSContext:         by.secure,
		IdleConnTimeout:        idleTime,
		MaxIdleConnsPerHost:    mostIdle,
		MaxResponseHeaderBytes: mostHeaders,
		DisableCompression:     true,
	}
}

// A dialer opens connections.
type dialer interface {
	plain(ctx context.Context, network, address string) (net.Conn, error)
	secure(ctx context.Context, network, address string) (net.Conn, error)
}

// A connector is a dialer that opens each connection when it is needed.
type connector struct {
	// The roots are tried in this order; nil means those of the system. Each time, the chain and the name of the other end are
	// verified in full. One pool that accepts the certificate is enough. If none does, there is no connection.
	roots []*x509.CertPool
}

func newConnector() *connector {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(amazonRoots)
	return &connector{roots: []*x509.CertPool{roots, nil}}
}

// unconnected means that no connection was made, so that no request was sent.
type unconnected struct{ why error }

func (u *unconnected) Error() string { return "not connected: " + u.why.Error() }
func (u *unconnected) Unwrap() error { return u.why }

func (c *connector) plain(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: connectTime}).DialContext(ctx, network, address)
	if err != nil {
		return nil, &unconnected{err}
	}
	return conn, nil
}

func (c *connector) secure(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, &unconnected{err}
	}
	for _, roots := range c.roots {
		var conn net.Conn
		conn, err = c.handshake(ctx, network, address, &tls.Config{ServerName: host, RootCAs: roots, MinVersion: tls.VersionTLS12})
		if err == nil {
			return conn, nil
		}
		if _, unknown := errors.AsType[*tls.CertificateVerificationError](err); !unknown {
			break
		}
	}
	return nil, &unconnected{err}
}

func (c *connector) handshake(ctx context.Context, network, address string, config *tls.Config) (net.Conn, error) {
	conn, err := c.plain(ctx, network, address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secured, nil
}

// stay makes a client follow no redirect, because a signed request is for one host only.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
