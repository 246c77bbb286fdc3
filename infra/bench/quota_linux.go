package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cpuPeriod is the one over which a quota holds, in microseconds: short enough for quotas of a few milliseconds.
const cpuPeriod = 20_000

// newSlot makes a cgroup with the share of a core that Lambda gives a function with so much memory: MB/1769.
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
func newSlot(memory int) (*slot, error) {
	name := fmt.Sprintf("countersign-bench-%d-%d", os.Getpid(), memory)
	quota := strconv.Itoa(cpuPeriod * memory / 1769)
	// Version 1: a hierarchy for the processor, in which a thread has a place of its own.
	if own, err := ownGroup("cpu"); err == nil {
		s := &slot{dir: filepath.Join(own, name), tasks: "tasks", group: filepath.Join(own, "tasks")}
		if err := os.Mkdir(s.dir, 0o755); err != nil {
			return nil, err
		}
		return s, errors.Join(s.set("cpu.cfs_period_us", strconv.Itoa(cpuPeriod)), s.set("cpu.cfs_quota_us", quota))
	}
	// Version 2: one hierarchy. The group is made at its root, as its others are.
	const root = "/sys/fs/cgroup"
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err != nil {
		return nil, errors.New("no cgroup of this machine has a quota for the processor")
	}
	s := &slot{dir: filepath.Join(root, name)}
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		return nil, err
	}
	if err := s.set("cpu.max", fmt.Sprintf("%s %d", quota, cpuPeriod)); err != nil {
		return nil, errors.Join(err, s.remove())
	}
	return s, nil
}

// ownGroup is the folder of the group that this process is in, in the hierarchy of a controller of version 1.
func ownGroup(controller string) (string, error) {
	said, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(said)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) == 3 && strings.Contains(","+parts[1]+",", ","+controller+",") {
			dir := filepath.Join("/sys/fs/cgroup", controller, parts[2])
			_, err := os.Stat(filepath.Join(dir, "cpu.cfs_quota_us"))
			return dir, err
		}
	}
	return "", fmt.Errorf("no hierarchy of %s", controller)
}

func (s *slot) set(file, value string) error {
	return os.WriteFile(filepath.Join(s.dir, file), []byte(value), 0)
}

func (s *slot) procs() string { return filepath.Join(s.dir, "cgroup.procs") }

// startIn starts a command inside the slot, so that not even its first instruction is outside.
func (s *slot) startIn(c *exec.Cmd) (at time.Time, err error) {
	if s.tasks == "" {
		dir, err := os.Open(s.dir)
		if err != nil {
			return at, err
		}
		defer dir.Close()
		c.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
		at = time.Now()
		return at, c.Start()
	}
	// A child is where the thread was that made it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	thread := strconv.Itoa(syscall.Gettid())
	if err := s.set(s.tasks, thread); err != nil {
		return at, err
	}
	at = time.Now()
	err = c.Start()
	return at, errors.Join(err, os.WriteFile(s.group, []byte(thread), 0))
}

// remove takes the slot away, once what was in it has ended.
func (s *slot) remove() error { return os.Remove(s.dir) }

// evict has the kernel forget what it holds of a file in memory. https://man7.org/linux/man-pages/man2/posix_fadvise.2.html
func evict(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return err
	}
	const dontNeed = 4
	if _, _, failed := syscall.Syscall6(syscall.SYS_FADVISE64, f.Fd(), 0, 0, dontNeed, 0, 0); failed != 0 {
		return failed
	}
	return nil
}
