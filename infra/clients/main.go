// Command clients helps to try the OpenAPI document with programs of others, which are generators of clients, and schemathesis.
//
//	go run ./infra/clients beside COMMAND...   run a command while a local server runs that only this command uses. Its address
//	                                           and API key are in COUNTERSIGN_URL and COUNTERSIGN_KEY
//	go run ./infra/clients strict              write a copy of the document that allows no other fields, as the tests of this
//	                                           project read it
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
	return errors.New("the arguments must be strict, or beside and a command")
}

// beside runs a command while a server runs. The server begins with no data, and its data is removed at the end.
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
	go web.Serve(listener) // it returns when the server is closed
	defer web.Close()
	c := exec.CommandContext(ctx, command[0], command[1:]...)
	c.Stdout, c.Stderr = out, os.Stderr
	c.Env = append(os.Environ(), "COUNTERSIGN_URL="+s.Issuer(), "COUNTERSIGN_KEY="+s.APIKey().Reveal())
	return c.Run()
}
