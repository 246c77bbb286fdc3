package server

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// A journal is a list in a file, with one JSON value on each line. Its entries aren't kept in memory, but read from the file one
// after the other.
type journal struct{ *listFile }

// pieceSize is how many bytes of a file are read at a time.
const pieceSize = 64 << 10

// openJournal opens the journal at path. If there is none, it creates one. It calls each with every line and the place where the
// line begins. It removes an incomplete last line, because the call that was writing it never succeeded.
func openJournal(path string, each func(at int64, line []byte) error) (journal, error) {
	file, err := openListFile(path)
	if err != nil {
		return journal{}, err
	}
	at, number := int64(0), 0
	whole, err := eachLine(file.now(), func(line []byte) error {
		if number++; !json.Valid(line) {
			return fmt.Errorf("line %d was not written by this server", number)
		}
		begins := at
		at += int64(len(line))
		if err := each(begins, line); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		return nil
	})
	if err == nil {
		err = file.cut(whole)
	}
	if err != nil {
		file.close()
		return journal{}, fmt.Errorf("%s: %w", path, err)
	}
	return journal{file}, nil
}

// eachLine calls do with each complete line. It returns how many bytes these lines have together.
func eachLine(in io.Reader, do func(line []byte) error) (whole int64, err error) {
	lines := bufio.NewReaderSize(in, pieceSize)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return whole, nil
		}
		if err == nil {
			err = do(line)
		}
		if err != nil {
			return whole, err
		}
		whole += int64(len(line))
	}
}

// add appends all entries, or none if it fails. It returns the place where they begin.
func (j journal) add(entries ...any) (at int64, err error) {
	var lines bytes.Buffer
	encoder := json.NewEncoder(&lines)
	encoder.SetEscapeHTML(false)
	for _, e := range entries {
		if err := encoder.Encode(e); err != nil {
			return 0, err
		}
	}
	return j.append(lines.Bytes())
}

// each calls do with every entry that there is now. The oldest comes first.
func (j journal) each(do func(entry json.RawMessage) error) error {
	_, err := eachLine(j.now(), func(line []byte) error { return do(bytes.TrimSuffix(line, []byte("\n"))) })
	return err
}
