package server

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strconv"
	"strings"

	"countersign/infra/local/machine"
	"countersign/infra/local/shell"
	"countersign/pkg/mfa"
)

// Command returns the command that serves a Server.
func Command() machine.Command {
	return machine.Command{
		Name: "local", Addr: "127.0.0.1:8080", Remote: true, Log: slog.LevelWarn,
		Open: func(_ context.Context, at machine.Place) (machine.Opened, error) {
			s, err := Open(Options{Dir: at.Dir, Port: at.Port, BrowserOrigins: at.BrowserOrigins, Log: at.Log})
			if err != nil {
				return machine.Opened{}, err
			}
			welcome := func(ctx context.Context, out io.Writer) error {
				return s.welcome(ctx, at.Dir, shell.Of(runtime.GOOS), out)
			}
			return machine.Opened{Handler: s, Welcome: welcome, Close: s.Close}, nil
		},
	}
}

// shownOrg is the org in the calls that welcome shows.
const shownOrg = "acme"

// welcome writes where to find what, and how to call the service. Its commands can be pasted into the shell as they are.
func (s *Server) welcome(ctx context.Context, dir string, sh shell.Shell, out io.Writer) error {
	policy, err := s.own.GetPolicy(ctx, mfa.Call{Bearer: s.apiKey.Reveal()}, shownOrg)
	if err != nil {
		return err
	}
	at, key, in := s.Issuer(), machine.KeyFile(dir), "with curl"
	setKey := "API key      " + sh.SetKey(key)
	if sh == shell.PowerShell {
		in = "in PowerShell (in cmd, type powershell first)"
		setKey += "\n  or, in cmd   set /p KEY=<\"" + key + `"`
	}
	commands := []string{
		sh.SetKey(key),
		sh.Call(shell.Call{
			Method: "PUT", URL: at + "/v1/orgs/" + shownOrg + "/policy", Bearer: "$KEY", IfMatch: strconv.Itoa(policy.Version),
			Body: `{"profile":"kls","acknowledge":true}`,
		}),
		sh.Call(shell.Call{
			URL: at + "/v1/challenges", Bearer: "$KEY",
			Body: `{"org":"` + shownOrg + `","user":{"id":"ana","email":"ana@` + shownOrg + `.example"}}`,
		}),
		sh.Call(shell.Call{URL: at + "/local/outbox?to=ana@" + shownOrg + ".example"}),
		sh.Call(shell.Call{URL: at + "/v1/challenges/ID/verify", Bearer: "TOKEN", Body: `{"code":"CODE"}`}),
	}
	_, err = fmt.Fprintf(out, `Countersign is ready. It sends no messages to anyone. Its data is in
  %s

  Demo login   %s/
  Outbox       %[2]s/local/outbox
  %s

A sign-in %s: set the organisation's policy, start a challenge, read the message with the code, and answer.
Replace ID, TOKEN and CODE by the id and token of the challenge and the code in the message.

  %s
`, dir, at, setKey, in, strings.ReplaceAll(strings.Join(commands, "\n"), "\n", "\n  "))
	return err
}
