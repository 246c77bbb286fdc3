// Command clients helps to try the OpenAPI document with other people's programs: client generators and schemathesis.
//
//	go run ./infra/clients beside COMMAND...   run a command beside a local server of its own, with COUNTERSIGN_URL and
//	                                           COUNTERSIGN_KEY in its environment
//	go run ./infra/clients strict              write the strict copy of the document, as the project's own tests read it
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"time"

	"countersign/infra/local/server"
	"countersign/pkg/api/openapi"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "clients:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	switch {
	case len(args) == 1 && args[0] == "strict":
		text, err := openapi.Strict()
		if err != nil {
			return err
		}
		_, err = out.Write(text)
		return err
	case len(args) > 1 && args[0] == "beside":
		return beside(ctx, args[1:], out)
	}
	return errors.New("say strict, or beside and a command")
}

// beside runs a command beside a server whose data are new, and gone afterwards.
func beside(ctx context.Context, command []string, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "countersign-clients-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close()
	s, err := server.Open(server.Options{
		Dir: dir, Port: listener.Addr().(*net.TCPAddr).Port, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	web := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go web.Serve(listener) // until it is closed
	defer web.Close()
	c := exec.CommandContext(ctx, command[0], command[1:]...)
	c.Stdout, c.Stderr = out, os.Stderr
	c.Env = append(os.Environ(), "COUNTERSIGN_URL="+s.Issuer(), "COUNTERSIGN_KEY="+s.APIKey().Reveal())
	return c.Run()
}
