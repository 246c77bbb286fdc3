package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A postgres is a PostgreSQL server on 127.0.0.1. It has an empty database and the default settings, with which it syncs each
// commit to disk.
type postgres struct {
	command  *exec.Cmd
	programs string // the folder of its programs
	dir      string
	port     string
	dsn      string
}

// openPostgres starts the PostgreSQL of Debian. If this process is root, the server runs as the user postgres, because it
// refuses to run as root.
func openPostgres(ctx context.Context) (_ *postgres, err error) {
	p := &postgres{}
	defer func() {
		if err != nil {
			p.close()
			err = fmt.Errorf("PostgreSQL: %w", err)
		}
	}()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return nil, errors.New("it is not installed; on Debian: apt-get install postgresql")
	}
	p.programs = filepath.Dir(found[len(found)-1])
	if p.dir, err = os.MkdirTemp("", "countersign-bench-postgres"); err != nil {
		return nil, err
	}
	as, err := anybody(p.dir)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(p.dir, "data")
	initialise := exec.CommandContext(ctx, filepath.Join(p.programs, "initdb"), "-D", data, "-U", "bench", "-A", "trust", "-E", "UTF8", "--locale=C")
	initialise.SysProcAttr, initialise.Dir = as, p.dir
	if said, err := initialise.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, said)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	_, p.port, _ = net.SplitHostPort(listener.Addr().String())
	listener.Close()
	p.command = exec.Command(filepath.Join(p.programs, "postgres"), "-D", data, "-p", p.port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=")
	p.command.SysProcAttr, p.command.Dir = as, p.dir
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	p.dsn = "postgres://bench@127.0.0.1:" + p.port + "/postgres?sslmode=disable"
	return p, until(ctx, func() error {
		ready := exec.CommandContext(ctx, filepath.Join(p.programs, "pg_isready"), "-q", "-h", "127.0.0.1", "-p", p.port)
		return ready.Run()
	})
}

// syncing sets whether a commit waits until it is on disk, which is the default. Outside of the timed phase it need not.
func (p *postgres) syncing(ctx context.Context, on bool) error {
	word := map[bool]string{true: "on", false: "off"}[on]
	set := exec.CommandContext(ctx, filepath.Join(p.programs, "psql"), "-q", "-d", p.dsn,
		"-c", "ALTER SYSTEM SET synchronous_commit = "+word, "-c", "SELECT pg_reload_conf()", "-c", "CHECKPOINT")
	if said, err := set.CombinedOutput(); err != nil {
		return fmt.Errorf("PostgreSQL: %w\n%s", err, said)
	}
	return nil
}

// close stops the server at once, and removes its data.
func (p *postgres) close() {
	if p.command != nil && p.command.Process != nil {
		p.command.Process.Signal(syscall.SIGQUIT)
		p.command.Wait()
	}
	if p.dir != "" {
		os.RemoveAll(p.dir)
	}
}

// anybody returns the attributes with which a process runs as the user postgres if this process is root, and makes that user
// the owner of dir.
func anybody(dir string) (*syscall.SysProcAttr, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	users, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(users)) {
		fields := strings.Split(line, ":")
		if fields[0] != "postgres" || len(fields) < 4 {
			continue
		}
		uid, err1 := strconv.Atoi(fields[2])
		gid, err2 := strconv.Atoi(fields[3])
		if err := errors.Join(err1, err2, os.Chown(dir, uid, gid)); err != nil {
			return nil, err
		}
		return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
	}
	return nil, errors.New("there is no user postgres")
}

// until calls do every few milliseconds until it succeeds, for at most a minute.
func until(ctx context.Context, do func() error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for {
		err := do()
		if err == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}
