package emulator

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"

	"countersign/infra/local/machine"
)

// Command serves an Emulator. What the functions write goes where the log goes.
func Command() machine.Command {
	var processes int
	var rie bool
	return machine.Command{
		Name: "emulator", Addr: "127.0.0.1:8081", Log: slog.LevelInfo,
		Flags: func(flags *flag.FlagSet) {
			flags.IntVar(&processes, "processes", 2, "how many processes each function has at most")
			flags.BoolVar(&rie, "rie", true, "run the functions under Amazon's Runtime Interface Emulator, where infra/test has installed it")
		},
		Open: func(ctx context.Context, at machine.Place) (machine.Opened, error) {
			o := Options{Dir: at.Dir, Port: at.Port, Processes: processes, Output: at.Errs, Log: at.Log}
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
				_, err := fmt.Fprintf(out, "The functions run behind %s. The API key is in %s, and records that publish gives up come into %s. "+
					"Another run begins with none of it.\n", behind, machine.KeyFile(at.Dir), filepath.Join(at.Dir, bucketFolder))
				return err
			}
			return machine.Opened{Handler: e, Welcome: welcome, Close: func() error { e.Close(); return nil }}, nil
		},
	}
}
