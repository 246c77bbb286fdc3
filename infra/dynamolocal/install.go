// Package dynamolocal gets and runs DynamoDB Local, Amazon's own stand-in for DynamoDB, for tests and for the emulator.
//
// What it keeps: the server is always of the same version, and has its data in memory. It listens on 127.0.0.1 only. It ends
// when the process that started it ends, however that happens.
//
// It refuses to keep any data, and to imitate what DynamoDB Local lacks. DynamoDB Local never reports a transaction conflict
// or a throttled call. Tests that need these put them into the client's transport.
//
// It needs Java 17 or newer. To install it, Maven and a Java compiler are needed, once.
package dynamolocal

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// Version is the version of DynamoDB Local that Install gets.
const Version = "3.1.0"

// The recipe by which DynamoDB Local is installed.
var (
	//go:embed pom.xml
	pom []byte
	//go:embed Loopback.java
	loopback []byte
)

// Dir returns the folder in which Install installs DynamoDB Local. It is in the user's cache folder, and may be deleted. If the
// recipe changes, the folder is another one, so that older copies of this project can still use theirs.
func Dir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("dynamolocal: find the cache folder: %w", err)
	}
	recipe := sha256.Sum256(slices.Concat(pom, loopback))
	return filepath.Join(cache, "countersign", fmt.Sprintf("dynamodb-local-%s-%x", Version, recipe[:4])), nil
}

// Installed reports whether DynamoDB Local is installed.
func Installed() bool {
	dir, err := Dir()
	return err == nil && installed(dir)
}

func installed(dir string) bool {
	_, err := os.Stat(dir)
	return err == nil
}

// Install gets DynamoDB Local (about 50 MB) with Maven, unless it is installed already, and returns its folder. If several
// processes call Install, they wait for each other. A call that is killed leaves nothing that looks installed. logf may be nil.
func Install(ctx context.Context, logf func(format string, args ...any)) (dir string, err error) {
	dir, err = Dir()
	if err != nil {
		return "", err
	}
	if installed(dir) {
		return dir, nil
	}
	if logf == nil {
		logf = func(string, ...any) {}
	}
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", fmt.Errorf("dynamolocal: install: %w", err)
	}
	unlock, err := lock(ctx, dir+".lock")
	if err != nil {
		return "", fmt.Errorf("dynamolocal: wait for another install: %w", err)
	}
	defer unlock()
	if installed(dir) {
		return dir, nil
	}
	made, err := os.MkdirTemp(parent, "installing-")
	if err != nil {
		return "", fmt.Errorf("dynamolocal: install: %w", err)
	}
	defer os.RemoveAll(made)
	logf("installing DynamoDB Local %s to %s", Version, dir)
	if err := build(ctx, made); err != nil {
		return "", fmt.Errorf("dynamolocal: install: %w", err)
	}
	if err := os.Rename(made, dir); err != nil {
		return "", fmt.Errorf("dynamolocal: install: %w", err)
	}
	return dir, nil
}

// build puts DynamoDB Local and the libraries that it needs into lib in dir, and compiles Loopback.java.
func build(ctx context.Context, dir string) error {
	mvn, err := find("mvn", "maven")
	if err != nil {
		return err
	}
	javac, err := find("javac", "default-jdk-headless (or openjdk-17-jdk-headless)")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "pom.xml"), pom, 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "Loopback.java"), loopback, 0o644); err != nil {
		return err
	}
	err = run(ctx, dir, mvn, "--batch-mode", "--quiet", "--strict-checksums",
		"dependency:copy-dependencies", "-DoutputDirectory=lib", "-DincludeScope=runtime")
	if err != nil {
		return err
	}
	return run(ctx, dir, javac, "-cp", "lib/*", "-d", ".", "Loopback.java")
}

func run(ctx context.Context, dir, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(program), err, bytes.TrimSpace(out))
	}
	return nil
}

// find returns the path of a program. If there is none, the error says which Debian package has it.
func find(program, debian string) (string, error) {
	path, err := exec.LookPath(program)
	if errors.Is(err, exec.ErrNotFound) {
		return "", fmt.Errorf("%s is missing; on Debian: apt-get install %s", program, debian)
	}
	return path, err
}
