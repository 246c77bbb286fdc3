package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"path/filepath"
	"sync"
	"time"

	"countersign/infra/local/machine"
	"countersign/pkg/activity"
	"countersign/pkg/message"
	"countersign/pkg/seal"
)

// An outbox records messages instead of sending them. Beside the journal of messages it has a file with an index, which is made
// again whenever the outbox is opened. For each message, the index has a hash of the address and the place of the message. So
// the messages to one address are found without reading all others.
type outbox struct {
	messages journal
	index    *listFile
	now      func() time.Time
	writing  sync.Mutex // held while both files are written
}

// An entry of the index is the hash of an address and the place of a message, with 8 bytes each in big-endian order.
const indexEntry = 16

func openOutbox(dir string, now func() time.Time) (*outbox, error) {
	o := &outbox{now: now}
	var err error
	if o.index, err = openListFile(filepath.Join(dir, "outbox.index")); err != nil {
		return nil, err
	}
	if err := o.index.clear(); err != nil {
		return nil, errors.Join(err, o.index.close())
	}
	var entries []byte
	flush := func() error {
		_, err := o.index.append(entries)
		entries = entries[:0]
		return err
	}
	o.messages, err = openJournal(filepath.Join(dir, "outbox.jsonl"), func(at int64, line []byte) error {
		to, err := addressee(line)
		if err != nil {
			return err
		}
		if entries = appendIndexEntry(entries, to, at); len(entries) < pieceSize {
			return nil
		}
		return flush()
	})
	if err != nil {
		return nil, errors.Join(err, o.index.close())
	}
	if err := flush(); err != nil {
		return nil, errors.Join(err, o.close())
	}
	return o, nil
}

func (o *outbox) close() error { return errors.Join(o.messages.close(), o.index.close()) }

func addressee(message []byte) (string, error) {
	var m struct {
		To string `json:"to"`
	}
	if json.Unmarshal(message, &m) != nil {
		return "", errors.New("it is not a message")
	}
	return m.To, nil
}

func addressHash(address string) uint64 {
	h := fnv.New64a()
	io.WriteString(h, address)
	return h.Sum64()
}

func appendIndexEntry(entries []byte, address string, at int64) []byte {
	entries = binary.BigEndian.AppendUint64(entries, addressHash(address))
	return binary.BigEndian.AppendUint64(entries, uint64(at))
}

// SendMail implements mfa.Mailer.
func (o *outbox) SendMail(_ context.Context, m message.Message) error {
	return o.record(machine.Message{Channel: "email", To: m.To, Subject: &m.Subject, Text: m.Text, HTML: &m.HTML}, m.Code)
}

// SendText implements mfa.Texter.
func (o *outbox) SendText(_ context.Context, m message.Text) error {
	return o.record(machine.Message{Channel: "sms", To: m.To, Text: m.Text}, m.Code)
}

func (o *outbox) record(m machine.Message, code seal.Secret) error {
	if m.At = o.now(); !code.IsZero() {
		shown := code.Reveal()
		m.Code = &shown
	}
	o.writing.Lock()
	defer o.writing.Unlock()
	at, err := o.messages.add(m)
	if err != nil {
		return err
	}
	if _, err := o.index.append(appendIndexEntry(nil, m.To, at)); err != nil {
		return errors.Join(err, o.messages.cut(at))
	}
	return nil
}

// clear deletes all messages. It clears the index first. So a reader who finds a place in the index finds the message there, or
// notices that the file was cleared.
func (o *outbox) clear() error {
	o.writing.Lock()
	defer o.writing.Unlock()
	return errors.Join(o.index.clear(), o.messages.clear())
}

// each calls do with every message to an address, or with every message if the address is empty. The oldest comes first.
func (o *outbox) each(to string, do func(message json.RawMessage) error) error {
	if to == "" {
		return o.messages.each(do)
	}
	messages, hash := o.messages.now(), addressHash(to)
	index := bufio.NewReaderSize(o.index.now(), pieceSize)
	for entry := make([]byte, indexEntry); ; {
		if _, err := io.ReadFull(index, entry); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		} else if err != nil {
			return err
		}
		if binary.BigEndian.Uint64(entry) != hash {
			continue
		}
		line, err := bufio.NewReader(messages.from(int64(binary.BigEndian.Uint64(entry[8:])))).ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil // it was cleared
		}
		if err != nil {
			return err
		}
		if is, err := addressee(line); err != nil {
			return fmt.Errorf("read the outbox: %w", err)
		} else if is != to {
			continue // another address with the same hash
		}
		if err := do(bytes.TrimSuffix(line, []byte("\n"))); err != nil {
			return err
		}
	}
}

// A bus records events as a program that listens to the event bus would get them: each at least once.
type bus struct{ journal }

// PutEvents implements mfa.Bus.
func (b bus) PutEvents(_ context.Context, events []activity.Event) error {
	entries := make([]any, len(events))
	for i, e := range events {
		entries[i] = e
	}
	_, err := b.add(entries...)
	return err
}
