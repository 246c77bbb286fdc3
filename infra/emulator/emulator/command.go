package emulator

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
	"time"
)

// Run is the command: it serves until ctx ends. The first line on out is "listening on " and the base URL; what goes wrong
// is told on errs, and so is what the functions write. It answers the exit code: 0, 1 when the emulator could not start or
// end well, 2 for flags that make no sense.
func Run(ctx context.Context, args []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet("emulator", flag.ContinueOnError)
	flags.SetOutput(errs)
	addr := flags.String("addr", "127.0.0.1:8081", "where to listen, on this machine only; with port 0, at a free one")
	dir := flags.String("data", "", "the folder for the API key and the built functions (default: countersign/emulator in the user's cache folder)")
	processes := flags.Int("processes", 2, "how many processes each function has at most")
	rie := flags.Bool("rie", true, "run the functions under Amazon's Runtime Interface Emulator, where infra/test has installed it")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(errs, "unexpected argument %q; see -help\n", flags.Arg(0))
		return 2
	}
	o := Options{Dir: *dir, Processes: *processes, Output: errs, Log: slog.New(slog.NewTextHandler(errs, &slog.HandlerOptions{Level: slog.LevelInfo}))}
	if *rie {
		o.RIE = FindRIE()
	}
	if err := run(ctx, *addr, o, out); err != nil {
		fmt.Fprintln(errs, "countersign:", err)
		return 1
	}
	return 0
}

func run(ctx context.Context, addr string, o Options, out io.Writer) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil || !loopback(host) {
		return fmt.Errorf("-addr %s: it has to be a loopback address and a port, such as 127.0.0.1:8081: the emulator shows every code it sends", addr)
	}
	if o.Dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("no folder for the data: name one with -data: %w", err)
		}
		o.Dir = filepath.Join(cache, "countersign", "emulator")
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	o.Port = listener.Addr().(*net.TCPAddr).Port
	e, err := Open(ctx, o)
	if err != nil {
		return err
	}
	defer e.Close()
	web := &http.Server{Handler: e, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10}
	ended := make(chan error, 1)
	go func() { ended <- web.Serve(listener) }()
	behind := "a Runtime API of its own"
	if o.RIE != "" {
		behind = "aws-lambda-rie"
	}
	fmt.Fprintf(out, "listening on http://%s\n\nThe functions run behind %s. The API key is in %s; nothing is kept past the end.\n",
		listener.Addr(), behind, filepath.Join(o.Dir, "api-key"))
	select {
	case err = <-ended:
	case <-ctx.Done():
		err = web.Close()
	}
	return err
}
