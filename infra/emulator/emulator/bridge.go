package emulator

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

// listenOnBridge listens on the address of a network bridge, for this machine and the containers on that bridge. It refuses any
// other interface, because other machines could reach it.
func listenOnBridge(name string, port int) (net.Listener, error) {
	if name != filepath.Base(name) {
		return nil, fmt.Errorf("-bridge %s is not the name of an interface", name)
	}
	// https://www.kernel.org/doc/Documentation/ABI/testing/sysfs-class-net
	if _, err := os.Stat(filepath.Join("/sys/class/net", name, "bridge")); err != nil {
		return nil, fmt.Errorf("-bridge %s: this machine has no bridge of that name", name)
	}
	bridge, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("-bridge %s: %w", name, err)
	}
	addresses, err := bridge.Addrs()
	if err != nil {
		return nil, fmt.Errorf("-bridge %s: %w", name, err)
	}
	for _, a := range addresses {
		network, ok := a.(*net.IPNet)
		if !ok || network.IP.To4() == nil {
			continue
		}
		listener, err := net.Listen("tcp", net.JoinHostPort(network.IP.String(), strconv.Itoa(port)))
		if err != nil {
			return nil, fmt.Errorf("-bridge %s: %w", name, err)
		}
		return &neighbours{listener, network}, nil
	}
	return nil, fmt.Errorf("-bridge %s: it has no IPv4 address", name)
}

// A neighbours is a listener that accepts only connections from one network.
type neighbours struct {
	net.Listener
	network *net.IPNet
}

// Accept implements net.Listener.
func (n *neighbours) Accept() (net.Conn, error) {
	for {
		conn, err := n.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if from, ok := conn.RemoteAddr().(*net.TCPAddr); ok && n.network.Contains(from.IP) {
			return conn, nil
		}
		if err := conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return nil, err
		}
	}
}
