// Command local runs the whole of Countersign on this machine, with nothing to install: see package server.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"countersign/infra/local/server"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	code := server.Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
