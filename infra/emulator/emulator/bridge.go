package emulator

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

// listenOnBridge listens at a port of a bridge's address, for the containers on that bridge and this machine. What isn't a
// bridge is refused: other machines could reach it.
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

// neighbours is a listener that accepts connections from one network only.
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
