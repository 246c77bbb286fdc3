package machine

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
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"countersign/pkg/mfa"
)

// endWithin is how long running calls may still take when a command is told to end.
const endWithin = 5 * time.Second

// A Command is a program that serves Countersign on this machine until it is told to end.
type Command struct {
	// Name is the name of the command, and of its folder in the user's cache folder.
	Name string
	// Addr is the address at which it listens by default.
	Addr string
	// Remote adds the flag -allow-remote, with which other machines can reach the command.
	Remote bool
	// Log is the lowest level that is logged.
	Log slog.Level
	// Flags adds more flags. It may be nil.
	Flags func(*flag.FlagSet)
	// Open opens what the command serves. ctx applies only to the opening.
	Open func(ctx context.Context, at Place) (Opened, error)
}

// A Place says where Countersign runs.
type Place struct {
	Dir  string // the data folder; it may not exist yet
	Port int    // the port at which it is reached
	// BrowserOrigins are the origins whose pages may call the API from a browser.
	BrowserOrigins []string
	Log            *slog.Logger
	Errs           io.Writer // where Log writes
}

// An Opened Countersign can be served.
type Opened struct {
	Handler http.Handler
	// Welcome writes where to find what, after the line that says where the command listens.
	Welcome func(ctx context.Context, out io.Writer) error
	// Close ends it. No calls are running then.
	Close func() error
}

// Main runs the command as the main function of a program. A first signal ends it in an orderly way, and a second one at once.
func (c Command) Main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	code := c.Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Run serves until ctx ends, and then finishes the running calls. The first line on out is "listening on " and the base URL.
// Errors are written to errs. Run returns the exit code: 0, or 1 if it could not start or end properly, or 2 for wrong flags.
func (c Command) Run(ctx context.Context, args []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet(c.Name, flag.ContinueOnError)
	flags.SetOutput(errs)
	addr := flags.String("addr", c.Addr, "the address to listen at; port 0 means a free port")
	dir := flags.String("data", "", "the data folder, which is created if it doesn't exist (default: countersign/"+c.Name+" in the user's cache folder)")
	browsers := flags.String("browser-origins", "", "the origins whose pages may call the API from a browser, separated by commas, such as http://localhost:3000")
	remote := new(bool)
	if c.Remote {
		flags.BoolVar(remote, "allow-remote", false, "allow an address that other machines can reach, although the server shows every code that it sends")
	}
	if c.Flags != nil {
		c.Flags(flags)
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(errs, "The command has no argument %q. See -help.\n", flags.Arg(0))
		return 2
	}
	origins, err := readOrigins(*browsers)
	if err != nil {
		fmt.Fprintf(errs, "-browser-origins: %s\n", mfa.AsError(err).Detail)
		return 2
	}
	if err := c.run(ctx, *addr, *dir, *remote, origins, out, errs); err != nil {
		fmt.Fprintln(errs, "countersign:", err)
		return 1
	}
	return 0
}

func (c Command) run(ctx context.Context, addr, dir string, remote bool, origins []string, out, errs io.Writer) error {
	if err := c.checkAddr(addr, remote); err != nil {
		return err
	}
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("there is no default data folder, so name one with -data: %w", err)
		}
		dir = filepath.Join(cache, "countersign", c.Name)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if remote {
		fmt.Fprintln(errs, "Other machines can now reach this server. Only a check of the Host header keeps them from the outbox, and that header is easy to forge.")
	}
	listener, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("another program is listening on %s already, perhaps another Countersign: "+
			"end it, or listen at another address, such as with -addr 127.0.0.1:0", addr)
	}
	if err != nil {
		return err
	}
	defer listener.Close()
	log := slog.New(slog.NewTextHandler(errs, &slog.HandlerOptions{Level: c.Log}))
	opened, err := c.Open(ctx, Place{
		Dir: dir, Port: listener.Addr().(*net.TCPAddr).Port, BrowserOrigins: origins, Log: log, Errs: errs,
	})
	if err != nil {
		return err
	}
	return errors.Join(opened.serve(ctx, listener, out, log), opened.Close())
}

// checkAddr refuses an address that other machines can reach, unless remote is true.
func (c Command) checkAddr(addr string, remote bool) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("-addr %s: the address must be host:port, such as %s", addr, c.Addr)
	}
	if Loopback(host) || remote {
		return nil
	}
	or := ""
	if c.Remote {
		or = ", or add -allow-remote if that is what you want"
	}
	return fmt.Errorf("other machines could reach the server at -addr %s, and it shows every code that it sends: listen on 127.0.0.1%s", addr, or)
}

// serve answers calls until ctx ends. Then it waits for the calls that are running.
func (o Opened) serve(ctx context.Context, listener net.Listener, out io.Writer, log *slog.Logger) error {
	web := &http.Server{
		Handler: o.Handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	ended := make(chan error, 1)
	go func() { ended <- web.Serve(listener) }()
	_, err := fmt.Fprintf(out, "listening on http://%s\n\n", listening(listener.Addr()))
	if err := errors.Join(err, o.Welcome(ctx, out)); err != nil {
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
		return errors.Join(fmt.Errorf("the running calls did not end within %s: %w", endWithin, err), web.Close())
	}
	return nil
}

// listening returns an address as it is written in a URL. An address that stands for all interfaces becomes 127.0.0.1.
func listening(at net.Addr) string {
	tcp := *at.(*net.TCPAddr)
	if tcp.IP.IsUnspecified() {
		tcp.IP = net.IPv4(127, 0, 0, 1)
	}
	return tcp.String()
}
