// Command emulator runs the functions of template.yaml on this machine, as Lambda would, with nothing of Amazon's but
// DynamoDB Local: see package emulator below it.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"countersign/infra/emulator/emulator"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	code := emulator.Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
