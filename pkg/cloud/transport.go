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

// amazonRoots are the roots that Amazon's endpoints are certified under. To read five takes a hundredth of what it takes to
// read all that a system trusts. https://www.amazontrust.com/repository/
//
//go:embed roots.pem
var amazonRoots []byte

const (
	connectTime = time.Second // for TCP, and again for TLS
	idleTime    = 30 * time.Second
	mostIdle    = 8        // connections kept, to one host
	mostHeaders = 64 << 10 // bytes
)

// newTransport makes what connects to Amazon. It heeds no proxy.
//
// A connection that was idle for longer than idleTime, by this machine's clock, isn't used again: while Lambda kept the
// process frozen, the other end gave it up.
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
	// roots are tried in this order; nil are the system's. Each time the other end is verified in full, by its chain and
	// by its name: that one pool knows it is enough, that no pool does never is.
	roots []*x509.CertPool
}

func newConnector() *connector {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(amazonRoots)
	return &connector{roots: []*x509.CertPool{roots, nil}}
}

// unconnected says that no connection came about, so that nothing was asked for on it.
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

// stay follows no redirect: a signed request is for one host.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
