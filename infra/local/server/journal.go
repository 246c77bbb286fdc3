package server

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// A journal is a list in a file, one JSON value a line. Its entries are read from the file when they are asked for, one
// after the other.
type journal struct{ *listFile }

// pieceSize is how much of a file is read at a time, in bytes.
const pieceSize = 64 << 10

// openJournal opens the journal at path, or makes it, and calls each with all its lines and where they begin. A last line
// that was cut short is dropped: whoever wrote it was never told that it was there.
func openJournal(path string, each func(at int64, line []byte) error) (journal, error) {
	file, err := openListFile(path)
	if err != nil {
		return journal{}, err
	}
	at, number := int64(0), 0
	whole, err := eachLine(file.now(), func(line []byte) error {
		if number++; !json.Valid(line) {
			return fmt.Errorf("line %d is not one of this server's", number)
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

// eachLine calls do with each whole line, and answers how many bytes they have together.
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

// add puts entries at the end, all or none, and answers where they begin.
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

// each calls do with every entry that there is now, oldest first.
func (j journal) each(do func(entry json.RawMessage) error) error {
	_, err := eachLine(j.now(), func(line []byte) error { return do(bytes.TrimSuffix(line, []byte("\n"))) })
	return err
}
