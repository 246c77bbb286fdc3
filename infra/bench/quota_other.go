//go:build !linux

package main

import (
	"errors"
	"os/exec"
	"time"
)

// newSlot returns an error, because this system has no cgroups.
func newSlot(int, int) (*slot, error) {
	return nil, errors.New("a quota for the processor needs Linux")
}

func (s *slot) procs() string { return "" }

func (s *slot) startIn(*exec.Cmd) (time.Time, error) {
	return time.Time{}, errors.New("there is no slot")
}

func (s *slot) remove() error { return nil }

// evict returns an error, because this system can't do it.
func evict(string) error { return errors.New("evicting a file from the page cache needs Linux") }
