package machine

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"countersign/pkg/api"
	"countersign/pkg/mfa"
)

func invalid(param, detail string) *mfa.Error {
	return &mfa.Error{Code: mfa.InvalidRequest, Param: param, Detail: detail}
}

// list returns a Stream that writes an object with one name, whose value is a list. The list is sent while it is read, so it can
// have any length.
func list(name string, items func(each func(item json.RawMessage) error) error) api.Stream {
	return func(_ context.Context, w io.Writer) error {
		if _, err := fmt.Fprintf(w, "{%q:[", name); err != nil {
			return err
		}
		separator := ""
		err := items(func(item json.RawMessage) error {
			if _, err := io.WriteString(w, separator); err != nil {
				return err
			}
			separator = ","
			_, err := w.Write(item)
			return err
		})
		if err != nil {
			return err
		}
		_, err = io.WriteString(w, "]}\n")
		return err
	}
}

// fromHere refuses a request that names another host than this machine, and a request of a page of another origin. So it also
// refuses a name of an attacker that leads to a loopback address (DNS rebinding).
func fromHere(r *http.Request) *mfa.Error {
	switch {
	case !Loopback(r.Host):
		return &mfa.Error{Code: mfa.Forbidden, Detail: "Calls under /local/ can be made only at localhost."}
	case crossSite(r):
		return &mfa.Error{Code: mfa.Forbidden, Detail: "Pages of other sites can't make calls under /local/."}
	}
	return nil
}

// crossSite reports whether a browser made the request for a page of another origin (Fetch Metadata; RFC 6454).
func crossSite(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
	default:
		return true
	}
	origin := r.Header.Values("Origin")
	return len(origin) > 1 || len(origin) == 1 && origin[0] != "http://"+r.Host
}

// Loopback reports whether host, with or without a port, is localhost or a loopback address, which can only be this machine.
func Loopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
