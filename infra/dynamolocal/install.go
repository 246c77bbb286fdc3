// Package dynamolocal gets and runs DynamoDB Local, Amazon's own stand-in for DynamoDB, for tests and for the emulator.
//
// The invariants: what runs is one pinned version, kept in memory; it listens on 127.0.0.1 and on nothing else; and it
// ends when the process that started it does, however that one ends.
//
// What it refuses to do: serve anything that is to be kept, and stand in for what DynamoDB Local doesn't have. It never
// reports a transaction conflict or a throttled call; tests that need those put them into the client's transport.
//
// It needs Java 17 or later, and Maven and a Java compiler once, to install.
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

// The recipe.
var (
	//go:embed pom.xml
	pom []byte
	//go:embed Loopback.java
	loopback []byte
)

// Dir is where Install puts DynamoDB Local: a folder of the user's cache, safe to delete. Another recipe has another folder,
// so that checkouts of different ages don't take it from each other.
func Dir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("dynamolocal: find the cache folder: %w", err)
	}
	recipe := sha256.Sum256(slices.Concat(pom, loopback))
	return filepath.Join(cache, "countersign", fmt.Sprintf("dynamodb-local-%s-%x", Version, recipe[:4])), nil
}

// Installed reports whether Install has been here.
func Installed() bool {
	dir, err := Dir()
	return err == nil && installed(dir)
}

func installed(dir string) bool {
	_, err := os.Stat(dir)
	return err == nil
}

// Install gets DynamoDB Local (about 50 MB) with Maven, unless it is there, and returns its folder. Calls by several
// processes wait for each other; one that is killed half-way leaves nothing that looks installed. logf may be nil.
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

// build fills dir: lib/ with DynamoDB Local and what it needs, and Loopback.class.
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

// find looks for a program, and says which Debian package holds it when it isn't there.
func find(program, debian string) (string, error) {
	path, err := exec.LookPath(program)
	if errors.Is(err, exec.ErrNotFound) {
		return "", fmt.Errorf("%s is missing; on Debian: apt-get install %s", program, debian)
	}
	return path, err
}
