package server

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"countersign/infra/local/machine"
	"countersign/pkg/mfa"
)

// Command serves a Server.
func Command() machine.Command {
	return machine.Command{
		Name: "local", Addr: "127.0.0.1:8080", Remote: true, Log: slog.LevelWarn,
		Open: func(_ context.Context, at machine.Place) (machine.Opened, error) {
			s, err := Open(Options{Dir: at.Dir, Port: at.Port, BrowserOrigins: at.BrowserOrigins, Log: at.Log})
			if err != nil {
				return machine.Opened{}, err
			}
			welcome := func(ctx context.Context, out io.Writer) error { return s.welcome(ctx, at.Dir, out) }
			return machine.Opened{Handler: s, Welcome: welcome, Close: s.Close}, nil
		},
	}
}

// shownOrg is the org of the calls that welcome shows.
const shownOrg = "acme"

// welcome says where to look and how to call the service. The calls are good to be pasted as they are.
func (s *Server) welcome(ctx context.Context, dir string, out io.Writer) error {
	policy, err := s.own.GetPolicy(ctx, mfa.Call{Bearer: s.apiKey.Reveal()}, shownOrg)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, `Countersign is ready. It sends nothing, and keeps what it records in
  %[2]s

  Demo login   %[1]s/
  Outbox       %[1]s/local/outbox
  API key      %[3]s

A sign-in with curl: the org's policy, a challenge, the message with the code, the answer (put in id, token and code).

  KEY=$(cat %[4]s)
  curl -X PUT %[1]s/v1/orgs/%[5]s/policy \
    -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' -H 'If-Match: "%[6]d"' \
    -d '{"profile":"kls","acknowledge":true}'
  curl %[1]s/v1/challenges \
    -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' \
    -d '{"org":"%[5]s","user":{"id":"ana","email":"ana@%[5]s.example"}}'
  curl '%[1]s/local/outbox?to=ana@%[5]s.example'
  curl %[1]s/v1/challenges/ID/verify \
    -H 'Authorization: Bearer TOKEN' -H 'Content-Type: application/json' \
    -d '{"code":"CODE"}'
`, s.Issuer(), dir, machine.KeyFile(dir), quoted(machine.KeyFile(dir)), shownOrg, policy.Version)
	return err
}

// quoted is a path as one word of a POSIX shell.
func quoted(path string) string {
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
