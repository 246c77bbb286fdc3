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
	"path/filepath"
	goruntime "runtime"
	"time"

	"countersign/infra/local/machine"
	"countersign/infra/local/shell"
)

// Command returns a command that serves an Emulator, or only Backends. The output of the functions goes where the log goes.
func Command() machine.Command {
	var processes int
	var rie, backends bool
	var bridge string
	return machine.Command{
		Name: "emulator", Addr: "127.0.0.1:8081", Log: slog.LevelInfo,
		Flags: func(flags *flag.FlagSet) {
			flags.IntVar(&processes, "processes", 2, "how many processes each function has at most, at least 2")
			flags.BoolVar(&rie, "rie", true, "run the functions under Amazon's Runtime Interface Emulator, if infra/test has installed it")
			flags.BoolVar(&backends, "backends", false, "run only the stand-ins of Amazon's services, for sam local, and no functions")
			flags.StringVar(&bridge, "bridge", "", "with -backends: also listen on this network bridge, such as docker0, on which containers of Docker on Linux can reach this machine")
		},
		Open: func(ctx context.Context, at machine.Place) (machine.Opened, error) {
			if backends {
				return serveBackends(ctx, at, bridge)
			}
			if bridge != "" {
				return machine.Opened{}, errors.New("-bridge can be given only with -backends")
			}
			o := Options{Dir: at.Dir, Port: at.Port, BrowserOrigins: at.BrowserOrigins, Processes: processes, Output: at.Errs, Log: at.Log}
			behind := "a Runtime API of its own"
			if rie {
				o.RIE = FindRIE()
			}
			if o.RIE != "" {
				behind = "aws-lambda-rie"
			}
			e, err := Open(ctx, o)
			if err != nil {
				return machine.Opened{}, err
			}
			welcome := func(_ context.Context, out io.Writer) error {
				_, err := fmt.Fprintf(out, "The functions run behind %s. Records that publish could not hand on are put into %s. Everything is "+
					"forgotten when the emulator stops. To set KEY to the API key:\n\n    %s\n", behind, filepath.Join(at.Dir, bucketFolder), shell.Of(goruntime.GOOS).SetKey(machine.KeyFile(at.Dir)))
				return err
			}
			return machine.Opened{Handler: e, Welcome: welcome, Close: func() error { e.Close(); return nil }}, nil
		},
	}
}

// serveBackends opens Backends. If a bridge is named, it also serves the containers on that bridge, without the calls under
// /local/.
func serveBackends(ctx context.Context, at machine.Place, bridge string) (machine.Opened, error) {
	web := &http.Server{ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(at.Log.Handler(), slog.LevelWarn)}
	var containers net.Listener
	if bridge != "" {
		var err error
		if containers, err = listenOnBridge(bridge, at.Port); err != nil {
			return machine.Opened{}, err
		}
	}
	b, err := OpenBackends(ctx, Options{Dir: at.Dir, Port: at.Port, Log: at.Log})
	if err != nil {
		if containers != nil {
			containers.Close()
		}
		return machine.Opened{}, err
	}
	web.Handler = b.amazon
	if containers != nil {
		go web.Serve(containers)
	}
	return machine.Opened{
		Handler: b,
		Welcome: func(_ context.Context, out io.Writer) error {
			return b.welcome(out, bridge != "")
		},
		Close: func() error {
			err := web.Close()
			b.Close()
			return err
		},
	}, nil
}
