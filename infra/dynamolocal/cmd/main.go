// Command cmd installs and runs DynamoDB Local for scripts.
//
//	go run ./infra/dynamolocal/cmd install
//	go run ./infra/dynamolocal/cmd serve
//
// serve prints the URL of the endpoint on one line. It runs until it gets a signal, or until its standard input ends. So a
// script only has to keep a pipe to it open. In bash:
//
//	coproc DYNAMO { go run ./infra/dynamolocal/cmd serve; }
//	read -r COUNTERSIGN_DYNAMODB <&"${DYNAMO[0]}"
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"countersign/infra/dynamolocal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := do(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func do(ctx context.Context, args []string) error {
	if len(args) != 1 || (args[0] != "install" && args[0] != "serve") {
		return errors.New("usage: cmd install | serve")
	}
	_, err := dynamolocal.Install(ctx, func(format string, a ...any) { fmt.Fprintf(os.Stderr, format+"\n", a...) })
	if err != nil || args[0] == "install" {
		return err
	}
	server, err := dynamolocal.Start(ctx, dynamolocal.Options{})
	if err != nil {
		return err
	}
	defer server.Stop()
	fmt.Println(server.Endpoint)
	ended := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	select {
	case <-ctx.Done():
	case <-ended:
	case <-server.Done():
		return errors.New("DynamoDB Local ended by itself")
	}
	return nil
}
