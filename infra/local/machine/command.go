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

// endWithin is how long calls that are under way may take when a command is told to end.
const endWithin = 5 * time.Second

// A Command serves a Countersign until it is told to end.
type Command struct {
	// Name is that of the command, and of its folder in the user's cache folder.
	Name string
	// Addr is where it listens by default.
	Addr string
	// Remote has it take -allow-remote, and listen where other machines reach it when that is given.
	Remote bool
	// Log is from which level on it is told what goes on inside.
	Log slog.Level
	// Flags adds flags of its own. Nil: there are none.
	Flags func(*flag.FlagSet)
	// Open opens what is served. ctx bounds the opening only.
	Open func(ctx context.Context, at Place) (Opened, error)
}

// A Place is where a Countersign is to run.
type Place struct {
	Dir  string // the data folder; there may be none yet
	Port int    // that it is reached at
	// BrowserOrigins are those whose pages may call the API from a browser.
	BrowserOrigins []string
	Log            *slog.Logger
	Errs           io.Writer // what Log writes to
}

// An Opened Countersign is one that can be served.
type Opened struct {
	Handler http.Handler
	// Welcome says, below the line that says where it listens, where to look.
	Welcome func(ctx context.Context, out io.Writer) error
	// Close ends it. No calls are under way by then.
	Close func() error
}

// Main is the main of a program that is the command. A signal ends it, and a second one at once.
func (c Command) Main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	code := c.Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Run serves until ctx ends, then finishes what is under way. The first line on out is "listening on " and the base URL;
// what goes wrong is told on errs. It answers the exit code: 0, 1 when it could not start or end well, 2 for flags that make
// no sense.
func (c Command) Run(ctx context.Context, args []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet(c.Name, flag.ContinueOnError)
	flags.SetOutput(errs)
	addr := flags.String("addr", c.Addr, "where to listen; with port 0, at a free one")
	dir := flags.String("data", "", "the data folder; made if there is none (default: countersign/"+c.Name+" in the user's cache folder)")
	browsers := flags.String("browser-origins", "", "origins whose pages may call the API from a browser, separated by commas, such as http://localhost:3000")
	remote := new(bool)
	if c.Remote {
		flags.BoolVar(remote, "allow-remote", false, "listen where other machines can reach it, though it shows every code it sends")
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
		fmt.Fprintf(errs, "unexpected argument %q; see -help\n", flags.Arg(0))
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
			return fmt.Errorf("no folder for the data: name one with -data: %w", err)
		}
		dir = filepath.Join(cache, "countersign", c.Name)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
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
	log := slog.New(slog.NewTextHandler(errs, &slog.HandlerOptions{Level: c.Log}))
	opened, err := c.Open(ctx, Place{
		Dir: dir, Port: listener.Addr().(*net.TCPAddr).Port, BrowserOrigins: origins, Log: log, Errs: errs,
	})
	if err != nil {
		return err
	}
	return errors.Join(opened.serve(ctx, listener, out, log), opened.Close())
}

// checkAddr refuses an address that other machines may reach, unless that was asked for.
func (c Command) checkAddr(addr string, remote bool) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("-addr %s: it has to be host:port, such as %s", addr, c.Addr)
	}
	if Loopback(host) || remote {
		return nil
	}
	or := ""
	if c.Remote {
		or = ", or add -allow-remote if that is what you want"
	}
	return fmt.Errorf("-addr %s would let other machines in, and this server shows every code it sends: listen on 127.0.0.1%s", addr, or)
}

// serve answers calls until ctx ends, and then those that are under way.
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
		return errors.Join(fmt.Errorf("calls under way did not end within %s: %w", endWithin, err), web.Close())
	}
	return nil
}

// listening is an address as a URL has it. One that stands for every interface is named by this machine's own.
func listening(at net.Addr) string {
	tcp := *at.(*net.TCPAddr)
	if tcp.IP.IsUnspecified() {
		tcp.IP = net.IPv4(127, 0, 0, 1)
	}
	return tcp.String()
}
