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

// cpuPeriod is the period of a quota in microseconds. It is short, because some of the measured times are short.
const cpuPeriod = 20_000

// newSlot makes a cgroup with the share of a core that Lambda gives a function with this memory, in MB, which is MB/1769.
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
// Slots that exist at the same time must have different numbers.
func newSlot(number, memory int) (*slot, error) {
	name := fmt.Sprintf("countersign-bench-%d-%d", os.Getpid(), number)
	quota := strconv.Itoa(cpuPeriod * memory / 1769)
	// In version 1 of cgroups the processor has a hierarchy of its own, and each thread can be in another group.
	if own, err := ownGroup("cpu"); err == nil {
		s := &slot{dir: filepath.Join(own, name), tasks: "tasks", group: filepath.Join(own, "tasks")}
		if err := os.Mkdir(s.dir, 0o755); err != nil {
			return nil, err
		}
		return s, errors.Join(s.set("cpu.cfs_period_us", strconv.Itoa(cpuPeriod)), s.set("cpu.cfs_quota_us", quota))
	}
	// In version 2 there is one hierarchy, and the group is made at its root.
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

// ownGroup returns the folder of the group of this process, in the hierarchy of a controller of version 1.
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
	return "", fmt.Errorf("there is no hierarchy for %s", controller)
}

func (s *slot) set(file, value string) error {
	return os.WriteFile(filepath.Join(s.dir, file), []byte(value), 0)
}

func (s *slot) procs() string { return filepath.Join(s.dir, "cgroup.procs") }

// startIn starts a command in the slot. The command is in the slot from its first instruction on.
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
	// A child process begins in the group of the thread that starts it.
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

// remove removes the cgroup. All its processes must have ended.
func (s *slot) remove() error { return os.Remove(s.dir) }

// evict removes a file from the page cache of the kernel. https://man7.org/linux/man-pages/man2/posix_fadvise.2.html
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
