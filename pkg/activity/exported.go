package activity

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"countersign/pkg/seal"
	"countersign/pkg/store"
)

// longestLine is the most bytes of a line of an export. An item has at most 64 KB, and what it shows is a few times as long.
const longestLine = 4 << 20

// An Exported is an export that ReadExport has read.
type Exported struct {
	Org  string
	At   time.Time           // when the export began
	Keys seal.CheckpointKeys // the keys that came with the export; they prove nothing if they are not compared with those that the deployment has published

	Log   *Log // the activity of the org, as it was at that time
	Route Route
}

// ReadExport reads an export into an empty store, so that Log.Verify can go through it where the deployment can't be reached. It fails
// with an error that wraps ErrBroken if the lines are not exactly as Export writes them, if their end is missing, or if a byte was
// changed since. now is the present time: an export can't be from the future. An export that somebody has forged may be read, and
// Verify then says what is wrong with it.
func ReadExport(ctx context.Context, from io.Reader, into store.Store, now time.Time) (*Exported, error) {
	i := &reading{into: into, sum: sha256.New()}
	lines := bufio.NewReaderSize(from, 64<<10)
	for n := 1; ; n++ {
		line, err := readLine(lines)
		if err == io.EOF {
			break
		}
		if err == nil {
			err = i.line(ctx, line)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	switch {
	case !i.ended:
		return nil, fmt.Errorf("%w: the end of the export is missing", ErrBroken)
	case i.of.At.After(now.Add(filingTime)):
		return nil, fmt.Errorf("%w: the export says that it is from %s, which is still to come", ErrBroken, i.of.At.Format(time.RFC3339))
	}
	keys, err := seal.ReadCheckpointKeys(i.of.Keys)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBroken, err)
	}
	// What expires while an export is made is left out of it, so it is read at the moment at which it must be complete.
	at := i.of.At.Add(exportTakes)
	l := &Log{Store: into, Now: func() time.Time { return at }}
	return &Exported{Org: i.of.Org, At: i.of.At, Keys: keys, Log: l, Route: Route(i.of.Route)}, nil
}

// readLine returns the next line with its end. It returns io.EOF if there is none.
func readLine(from *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := from.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return line, nil
		case len(line) > longestLine:
			return nil, fmt.Errorf("%w: it is too long", ErrBroken)
		case err == io.EOF && len(line) > 0:
			return nil, fmt.Errorf("%w: it has no end", ErrBroken)
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

// reading is one run of ReadExport.
type reading struct {
	into   store.Store
	sum    hash.Hash
	lines  int
	of     exportedOrg
	at     store.Key // of the last item
	kinds  int       // the place of the last line's kind in the order of kinds
	writes []store.Write
	ended  bool
}

// order is the order in which lines of the kinds stand.
var order = map[string]int{kindOrg: 1, kindCheckpoint: 2, kindDay: 3, kindPage: 4, kindEnd: 5}

func (i *reading) line(ctx context.Context, line []byte) error {
	kind := kindOf(line)
	place := order[kind]
	switch {
	case i.ended:
		return fmt.Errorf("%w: there is more after the end", ErrBroken)
	case place == 0:
		return fmt.Errorf("%w: it is no line of an export", ErrBroken)
	case (i.lines == 0) != (kind == kindOrg), place < i.kinds:
		return fmt.Errorf("%w: it stands in the wrong place", ErrBroken)
	}
	if place != i.kinds {
		i.kinds, i.at = place, store.Key{}
	}
	if err := i.take(ctx, kind, line); err != nil {
		return err
	}
	i.sum.Write(line)
	i.lines++
	return nil
}

func (i *reading) take(ctx context.Context, kind string, line []byte) error {
	route := Route(i.of.Route)
	switch kind {
	case kindOrg:
		if err := exactly(line, &i.of); err != nil {
			return err
		}
		if i.of.Format != exportFormat || len(i.of.Route) != orgRoute {
			return fmt.Errorf("it has format %d, and this program reads format %d", i.of.Format, exportFormat)
		}
		return nil
	case kindCheckpoint:
		var c exportedCheckpoint
		if err := exactly(line, &c); err != nil {
			return err
		}
		item := store.Item{Key: checkKey(route, c.Serial), Body: c.Item}
		read, err := readCheckpoint(item)
		if err != nil {
			return broken(err)
		}
		return i.put(ctx, item, c.Shows, read.claims)
	case kindDay:
		var d exportedDay
		if err := exactly(line, &d); err != nil {
			return err
		}
		return i.show(ctx, store.Item{Key: dayKey(route, d.Day), Body: d.Item}, d.Shows)
	case kindPage:
		var p exportedPage
		if err := exactly(line, &p); err != nil {
			return err
		}
		return i.show(ctx, store.Item{Key: store.Key{Partition: pagePartition(route, p.Day, p.Shard), Sort: pageSort(p.Page)}, Body: p.Item}, p.Shows)
	}
	var end exportedEnd
	if err := exactly(line, &end); err != nil {
		return err
	}
	if end.Lines != i.lines || end.SHA256 != hex.EncodeToString(i.sum.Sum(nil)) {
		return fmt.Errorf("%w: the lines before it are not those that were exported", ErrBroken)
	}
	i.ended = true
	return i.commit(ctx)
}

func broken(err error) error { return fmt.Errorf("%w: %w", ErrBroken, err) }

// show puts an item, if it shows what its line says that it shows.
func (i *reading) show(ctx context.Context, item store.Item, shows json.RawMessage) error {
	shown, err := shownAsJSON(item)
	if err != nil {
		return broken(err)
	}
	return i.put(ctx, item, shows, shown)
}

// put puts an item after those that came before it.
func (i *reading) put(ctx context.Context, item store.Item, says, shows any) error {
	said, err := json.Marshal(says)
	if err != nil {
		return broken(err)
	}
	shown, err := json.Marshal(shows)
	if err != nil {
		return broken(err)
	}
	switch {
	case !bytes.Equal(said, shown):
		return fmt.Errorf("%w: it shows something else than its item has", ErrBroken)
	case item.Key.Partition < i.at.Partition, item.Key.Partition == i.at.Partition && item.Key.Sort <= i.at.Sort:
		return fmt.Errorf("%w: it stands in the wrong place", ErrBroken)
	}
	i.at = item.Key
	if i.writes = append(i.writes, store.Write{Key: item.Key, Body: item.Body}); len(i.writes) == store.MaxWrites {
		return i.commit(ctx)
	}
	return nil
}

func (i *reading) commit(ctx context.Context) error {
	if len(i.writes) == 0 {
		return nil
	}
	err := i.into.Commit(ctx, store.NewVersion(), i.writes...)
	i.writes = nil
	return err
}

// exactly sets into from a line that is exactly as Export writes it. encoding/json alone would ignore unknown fields, repeated fields,
// white space and the case of letters in names.
func exactly(line []byte, into any) error {
	if err := json.Unmarshal(line, into); err != nil {
		return fmt.Errorf("%w: it is no JSON object of its kind", ErrBroken)
	}
	again, err := json.Marshal(into)
	if err != nil || !bytes.Equal(append(again, '\n'), line) {
		return fmt.Errorf("%w: it is not as it was written", ErrBroken)
	}
	return nil
}
