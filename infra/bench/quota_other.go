//go:build !linux

package main

import (
	"errors"
	"os/exec"
	"time"
)

// newSlot has nothing to make one with here.
func newSlot(int) (*slot, error) { return nil, errors.New("a quota for the processor takes Linux") }

func (s *slot) procs() string { return "" }

func (s *slot) startIn(*exec.Cmd) (time.Time, error) { return time.Time{}, errors.New("no slot") }

func (s *slot) remove() error { return nil }

// evict can't be done here.
func evict(string) error { return errors.New("to evict a file takes Linux") }
