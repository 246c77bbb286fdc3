package cloud

import (
	"context"
	"net"
	"net/url"
	"sync"
	"time"
)

// longestAhead is the longest time for which a connection that was opened ahead may wait for its first request. Lambda may freeze
// a process between its start and its first call for so long that the service has closed the connection.
const longestAhead = 3 * time.Second

// An opener is a dialer that opens some connections before they are needed.
type opener struct {
	*connector
	wall func() time.Time

	mu    sync.Mutex
	ahead map[string][]*earlyConn // by address
}

// An earlyConn is a connection that is opened before it is needed.
type earlyConn struct {
	opened chan struct{} // closed when conn and err are set
	conn   net.Conn
	err    error
	began  time.Time
}

// ConnectAhead begins to open n connections to a service, for the first requests to it, and doesn't wait for them. So the
// connections are opened while the function is put together. A Courier never uses them.
func (d *Deployment) ConnectAhead(service url.URL, n int) {
	address, secure := service.Host, service.Scheme == "https"
	switch {
	case service.Port() != "":
	case secure:
		address = net.JoinHostPort(service.Hostname(), "443")
	default:
		address = net.JoinHostPort(service.Hostname(), "80")
	}
	for range n {
		d.opener.openAhead(address, secure)
	}
}

func (o *opener) openAhead(address string, secure bool) {
	e := &earlyConn{opened: make(chan struct{}), began: o.wall().Round(0)}
	o.mu.Lock()
	if o.ahead == nil {
		o.ahead = map[string][]*earlyConn{}
	}
	o.ahead[address] = append(o.ahead[address], e)
	o.mu.Unlock()
	open := o.connector.plain
	if secure {
		open = o.connector.secure
	}
	go func() {
		e.conn, e.err = open(context.Background(), "tcp", address)
		close(e.opened)
	}()
}

func (o *opener) plain(ctx context.Context, network, address string) (net.Conn, error) {
	if conn := o.take(ctx, address); conn != nil {
		return conn, nil
	}
	return o.connector.plain(ctx, network, address)
}

func (o *opener) secure(ctx context.Context, network, address string) (net.Conn, error) {
	if conn := o.take(ctx, address); conn != nil {
		return conn, nil
	}
	return o.connector.secure(ctx, network, address)
}

// take returns a connection that was opened ahead, or nil. It closes those that are too old.
func (o *opener) take(ctx context.Context, address string) net.Conn {
	for {
		o.mu.Lock()
		waiting := o.ahead[address]
		if len(waiting) == 0 {
			o.mu.Unlock()
			return nil
		}
		e := waiting[0]
		o.ahead[address] = waiting[1:]
		o.mu.Unlock()
		select {
		case <-e.opened:
		case <-ctx.Done():
			go e.discard()
			return nil
		}
		// Round(0) drops the monotonic reading, which stands still while Lambda keeps the process frozen.
		if age := o.wall().Round(0).Sub(e.began); e.err == nil && age >= 0 && age < longestAhead {
			return e.conn
		}
		e.discard()
	}
}

// discard closes a connection that nobody will use, once it is open.
func (e *earlyConn) discard() {
	<-e.opened
	if e.conn != nil {
		e.conn.Close()
	}
}
