package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"countersign/infra/local/machine"
	"countersign/infra/local/server"
)

func TestDoctorLooksAtALocalServersFolder(t *testing.T) {
	file := func(name, content string, mode os.FileMode) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte(content), mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, test := range map[string]struct {
		harm func(*testing.T, string)
		want []string
		says string
	}{
		"nothing":          {func(*testing.T, string) {}, nil, "No problem was found."},
		"a clock ahead":    {file("clock", "7200\n", 0o600), nil, "2h0m0s ahead"},
		"a broken clock":   {file("clock", "soon\n", 0o600), []string{"data folder"}, "clock"},
		"no key file":      {func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, "keys.json")) }, []string{"key file"}, "Restore the file"},
		"an open key file": {func(t *testing.T, dir string) { os.Chmod(filepath.Join(dir, "keys.json"), 0o644) }, []string{"key file"}, "0600"},
		"a broken one":     {file("keys.json", "{}", 0o600), []string{"key file"}, "keys.json"},
		"no database":      {func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, "countersign.db")) }, []string{"data folder"}, "go run ./infra/local"},
		"another file":     {file("countersign.db", strings.Repeat("not a database ", 4000), 0o600), []string{"database"}, "Restore a copy"},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOperator()
			o.now = time.Now // this is the server's clock
			dir := newFolder(t)
			// The server sweeps in the background when it starts, so it may not have done so yet.
			sweepFolder(t, dir, o.now)
			test.harm(t, dir)
			code := o.run(t, "doctor", "--local", dir)
			if got := wrongs(o.said); (code != 0) != (test.want != nil) || !slices.Equal(got, test.want) || !strings.Contains(o.said, test.says) {
				t.Errorf("got %d and\n%s%s, want %v, with %q", code, o.said, o.told, test.want, test.says)
			}
		})
	}
}

// Doctor says about a folder what the server says when it opens that folder.
func TestDoctorSaysOfAFolderWhatTheServerSays(t *testing.T) {
	seconds := func(n int64) []byte { return []byte(strconv.FormatInt(n, 10) + "\n") }
	for name, test := range map[string]struct {
		file    string
		content []byte
		about   string
		good    bool
	}{
		"a clock that is the machine's":         {"clock", seconds(0), "data folder", true},
		"a clock as far ahead as it can be":     {"clock", seconds(machine.MostAhead), "data folder", true},
		"a clock a second further":              {"clock", seconds(machine.MostAhead + 1), "data folder", false},
		"a clock that is ahead by 99 years":     {"clock", seconds(99 * 365 * 24 * 60 * 60), "data folder", false},
		"a clock that is behind":                {"clock", seconds(-1), "data folder", false},
		"a clock that is empty":                 {"clock", nil, "data folder", false},
		"a key file that is empty":              {"keys.json", nil, "key file", false},
		"a database that is of another program": {"countersign.db", []byte(strings.Repeat("not a database ", 4000)), "database", false},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOperator()
			o.now = time.Now
			dir := newFolder(t)
			if err := os.WriteFile(filepath.Join(dir, test.file), test.content, 0o600); err != nil {
				t.Fatal(err)
			}
			o.run(t, "doctor", "--local", dir)
			if got := !slices.Contains(wrongs(o.said), test.about); got != test.good {
				t.Errorf("the doctor finds it good: %v, want %v:\n%s", got, test.good, o.said)
			}
			s, err := server.Open(server.Options{Dir: dir, Port: 8080})
			if (err == nil) != test.good {
				t.Errorf("the server opens it with %v, want that it does: %v", err, test.good)
			}
			if err == nil {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestAFolderWhoseClockWentBackIsNotWell(t *testing.T) {
	o := newOperator()
	o.now = time.Now
	dir := newFolder(t)
	sweepFolder(t, dir, func() time.Time { return time.Now().Add(3 * time.Hour) })
	if code := o.run(t, "doctor", "--local", dir); code != 1 || !slices.Equal(wrongs(o.said), []string{"sweep"}) || !strings.Contains(o.said, "clock") {
		t.Errorf("got %d and\n%s, want 1 and the sweep's mark to come", code, o.said)
	}
}

func sweepFolder(t *testing.T, dir string, now func() time.Time) {
	t.Helper()
	f, err := openFolder(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	db, err := f.OpenDatabase()
	if err != nil {
		t.Fatal(err)
	}
	sweep(t, db, now())
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
