package server

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"countersign/pkg/mfa"
)

// endWithin is how long calls that are under way may take when the server is told to end.
const endWithin = 5 * time.Second

// Run is the command: it serves until ctx ends, then finishes what is under way. The first line on out is
// "listening on " and the base URL; what goes wrong is told on errs. It answers the exit code: 0, 1 when the server could
// not start or end well, 2 for flags that make no sense.
func Run(ctx context.Context, args []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet("local", flag.ContinueOnError)
	flags.SetOutput(errs)
	addr := flags.String("addr", "127.0.0.1:8080", "where to listen; with port 0, at a free one")
	dir := flags.String("data", "", "the data folder; made if there is none (default: countersign/local in the user's cache folder)")
	remote := flags.Bool("allow-remote", false, "listen where other machines can reach it, though it shows every code it sends")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(errs, "unexpected argument %q; see -help\n", flags.Arg(0))
		return 2
	}
	if err := run(ctx, *addr, *dir, *remote, out, errs); err != nil {
		fmt.Fprintln(errs, "countersign:", err)
		return 1
	}
	return 0
}

func run(ctx context.Context, addr, dir string, remote bool, out, errs io.Writer) error {
	if err := checkAddr(addr, remote); err != nil {
		return err
	}
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("no folder for the data: name one with -data: %w", err)
		}
		dir = filepath.Join(cache, "countersign", "local")
	}
	if remote {
		fmt.Fprintln(errs, "Other machines may now reach this server. All that keeps them from the outbox is a Host header, and that is easily forged.")
	}
	listener, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("something listens on %s already, perhaps another Countersign: "+
			"end it, or listen elsewhere, such as with -addr 127.0.0.1:0", addr)
	}
	if err != nil {
		return err
	}
	defer listener.Close()
	at := listener.Addr().(*net.TCPAddr)
	log := slog.New(slog.NewTextHandler(errs, &slog.HandlerOptions{Level: slog.LevelWarn}))
	s, err := Open(Options{Dir: dir, Port: at.Port, Log: log})
	if err != nil {
		return err
	}
	if err := s.serve(ctx, listener, dir, out); err != nil {
		return errors.Join(err, s.Close())
	}
	return s.Close()
}

// checkAddr refuses an address that other machines may reach, unless that was asked for.
func checkAddr(addr string, remote bool) error {
	host, _, err := net.SplitHostPort(addr)
	switch {
	case err != nil:
		return fmt.Errorf("-addr %s: it has to be host:port, such as 127.0.0.1:8080", addr)
	case !loopback(host) && !remote:
		return fmt.Errorf("-addr %s would let other machines in, and this server shows every code it sends: "+
			"listen on 127.0.0.1, or add -allow-remote if that is what you want", addr)
	}
	return nil
}

// serve answers calls until ctx ends, and then those that are under way.
func (s *Server) serve(ctx context.Context, listener net.Listener, dir string, out io.Writer) error {
	web := &http.Server{
		Handler: s, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	ended := make(chan error, 1)
	go func() { ended <- web.Serve(listener) }()
	if err := s.welcome(ctx, listener.Addr(), dir, out); err != nil {
		return errors.Join(err, web.Close())
	}
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	late, cancel := context.WithTimeout(context.Background(), endWithin)
	defer cancel()
	if err := web.Shutdown(late); err != nil {
		return errors.Join(fmt.Errorf("calls under way did not end within %s: %w", endWithin, err), web.Close())
	}
	return nil
}

// shownOrg is the org of the calls that welcome shows.
const shownOrg = "acme"

// welcome says where to look and how to call the service. The calls are good to be pasted as they are.
func (s *Server) welcome(ctx context.Context, at net.Addr, dir string, out io.Writer) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	policy, err := s.own.GetPolicy(ctx, mfa.Call{Bearer: s.apiKey.Reveal()}, shownOrg)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, `listening on http://%[1]s

Countersign is ready. It sends nothing, and keeps what it records in
  %[3]s

  Demo login   %[2]s/
  Outbox       %[2]s/local/outbox
  API key      %[4]s

A sign-in with curl: the org's policy, a challenge, the message with the code, the answer (put in id, token and code).

  KEY=$(cat %[5]s)
  curl -X PUT %[2]s/v1/orgs/%[6]s/policy \
    -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' -H 'If-Match: "%[7]d"' \
    -d '{"profile":"kls","acknowledge":true}'
  curl %[2]s/v1/challenges \
    -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' \
    -d '{"org":"%[6]s","user":{"id":"ana","email":"ana@%[6]s.example"}}'
  curl '%[2]s/local/outbox?to=ana@%[6]s.example'
  curl %[2]s/v1/challenges/ID/verify \
    -H 'Authorization: Bearer TOKEN' -H 'Content-Type: application/json' \
    -d '{"code":"CODE"}'
`, listening(at), s.Issuer(), dir, filepath.Join(dir, "api-key"), quoted(filepath.Join(dir, "api-key")), shownOrg, policy.Version)
	return err
}

// listening is an address as a URL has it. One that stands for every interface is named by this machine's own.
func listening(at net.Addr) string {
	tcp := *at.(*net.TCPAddr)
	if tcp.IP.IsUnspecified() {
		tcp.IP = net.IPv4(127, 0, 0, 1)
	}
	return tcp.String()
}

// quoted is a path as one word of a POSIX shell.
func quoted(path string) string {
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
