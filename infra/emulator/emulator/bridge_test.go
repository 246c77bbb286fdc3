package emulator

import (
	"errors"
	"net"
	"testing"
)

// A visitor is a connection from an address.
type visitor struct {
	net.Conn
	from   net.Addr
	closed bool
}

func (v *visitor) RemoteAddr() net.Addr { return v.from }

func (v *visitor) Close() error {
	v.closed = true
	return nil
}

// visitors is a listener that accepts each of the visitors, one after the other.
type visitors []*visitor

func (v *visitors) Accept() (net.Conn, error) {
	if len(*v) == 0 {
		return nil, net.ErrClosed
	}
	next := (*v)[0]
	*v = (*v)[1:]
	return next, nil
}

func (v *visitors) Close() error   { return nil }
func (v *visitors) Addr() net.Addr { return nil }

func TestOnlyContainersOfTheBridgeAreLetIn(t *testing.T) {
	_, network, err := net.ParseCIDR("172.17.0.1/16")
	if err != nil {
		t.Fatal(err)
	}
	come := func(address string) *visitor {
		return &visitor{from: &net.TCPAddr{IP: net.ParseIP(address), Port: 40000}}
	}
	stranger, container, neighbour := come("192.168.1.7"), come("172.17.0.2"), come("172.18.0.2")
	n := &neighbours{&visitors{stranger, container, neighbour}, network}
	if got, err := n.Accept(); err != nil || got != container {
		t.Fatalf("got %v, %v, want the container", got, err)
	}
	if _, err := n.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want %v", err, net.ErrClosed)
	}
	if !stranger.closed || !neighbour.closed || container.closed {
		t.Errorf("closed: %t, %t, and the container %t; want true, true, false", stranger.closed, neighbour.closed, container.closed)
	}
}
