package activity

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"

	"countersign/pkg/store"
)

// exportFormat is the format of an export.
const exportFormat = 1

// exportTakes is how long an export may take at most. What expires within that time is left out of it.
const exportTakes = time.Hour

// The lines of an export. Each is a JSON object, and its first field says of which of these kinds it is. The first line is an
// exportedOrg, and the last one an exportedEnd. Between them are the checkpoints, the days and the pages, in this order. They are in
// the order of their numbers, and the pages are in the order of their days and shards.
//
// The field item is the body of the item as it is stored, in base64. The field shows has the same for people; ReadExport makes it again
// from the item, so it can't say anything else. What an entry says of its user is encrypted in an export, too. Nobody can read it
// there, and the entry of a user who is erased later verifies like all others.
type (
	exportedOrg struct {
		Kind   string          `json:"kind"` // kindOrg
		Format int             `json:"format"`
		Org    string          `json:"org"`
		Route  []byte          `json:"route"`
		At     time.Time       `json:"at"`   // when the export began
		Keys   json.RawMessage `json:"keys"` // the JWK set that was published then
	}
	exportedCheckpoint struct {
		Kind   string           `json:"kind"` // kindCheckpoint
		Serial int              `json:"serial"`
		Item   []byte           `json:"item"`
		Shows  checkpointClaims `json:"shows"`
	}
	exportedDay struct {
		Kind  string          `json:"kind"` // kindDay
		Day   string          `json:"day"`
		Item  []byte          `json:"item"`
		Shows json.RawMessage `json:"shows"`
	}
	exportedPage struct {
		Kind  string          `json:"kind"` // kindPage
		Day   string          `json:"day"`
		Shard int             `json:"shard"`
		Page  int             `json:"page"`
		Item  []byte          `json:"item"`
		Shows json.RawMessage `json:"shows"`
	}
	exportedEnd struct {
		Kind   string `json:"kind"`   // kindEnd
		Lines  int    `json:"lines"`  // how many lines come before this one
		SHA256 string `json:"sha256"` // of all bytes before this line
	}
)

const (
	kindOrg        = "organisation"
	kindCheckpoint = "checkpoint"
	kindDay        = "day"
	kindPage       = "page"
	kindEnd        = "end"
)

// Export writes all activity of an org that is still kept to to, as JSON lines, with its checkpoints and with the public keys that
// verify these. jwks is the JWK set that the deployment publishes. ReadExport reads the lines. What is filed meanwhile may be left out.
// It needs memory for one page of the store, and a little for each day.
func (l *Log) Export(ctx context.Context, to io.Writer, org string, route Route, jwks []byte) error {
	now := l.Now().UTC()
	e := &exporting{l: l, route: route.org(), until: now.Add(exportTakes), w: &lineWriter{to: to, sum: sha256.New()}}
	if err := e.w.write(exportedOrg{kindOrg, exportFormat, org, []byte(e.route), now, jwks}); err != nil {
		return err
	}
	// A checkpoint tells only of pages that were there before it. So the checkpoints are read first, and the pages last.
	if err := e.checkpoints(ctx); err != nil {
		return err
	}
	days, err := e.days(ctx)
	if err != nil {
		return err
	}
	for _, d := range days {
		for shard := range d.Shards {
			if !d.begun(shard) {
				continue
			}
			if err := e.pages(ctx, d.name, shard); err != nil {
				return err
			}
		}
	}
	return e.w.write(exportedEnd{kindEnd, e.w.lines, hex.EncodeToString(e.w.sum.Sum(nil))})
}

// exporting is one run of Export.
type exporting struct {
	l     *Log
	route Route
	until time.Time // what expires before this moment is left out
	w     *lineWriter
}

// each calls do with all items of a partition.
func (e *exporting) each(ctx context.Context, partition string, do func(store.Item) error) error {
	q := store.Query{Partition: partition}
	for more := true; more; {
		found, err := e.l.Store.Query(ctx, q)
		if err != nil {
			return err
		}
		for _, item := range found.Items {
			if err := do(item); err != nil {
				return err
			}
		}
		q.After, more = found.Last, found.More
	}
	return nil
}

// over reports whether a day may expire before the export is complete.
func (e *exporting) over(day string) (bool, error) {
	until, err := keptUntil(day)
	return !e.until.Before(until), err
}

func (e *exporting) checkpoints(ctx context.Context) error {
	return e.each(ctx, checkPartition(e.route), func(item store.Item) error {
		c, err := readCheckpoint(item)
		if err != nil {
			return err
		}
		if over, err := e.over(dayOf(c.claims.At)); over || err != nil {
			return err
		}
		return e.w.write(exportedCheckpoint{kindCheckpoint, c.claims.Serial, item.Body, c.claims})
	})
}

// days writes the days, and returns them without their links.
func (e *exporting) days(ctx context.Context) (days []*storedDay, err error) {
	err = e.each(ctx, daysPartition(e.route), func(item store.Item) error {
		d, err := readDay(item)
		if err != nil {
			return err
		}
		if over, err := e.over(d.name); over || err != nil {
			return err
		}
		shows, err := shownAsJSON(item)
		if err != nil {
			return err
		}
		days = append(days, &storedDay{name: d.name, day: day{Shards: d.Shards, Begun: d.Begun}})
		return e.w.write(exportedDay{kindDay, d.name, item.Body, shows})
	})
	return days, err
}

func (e *exporting) pages(ctx context.Context, day string, shard int) error {
	return e.each(ctx, pagePartition(e.route, day, shard), func(item store.Item) error {
		p, err := readPage(day, item)
		if err != nil {
			return err
		}
		shows, err := shownAsJSON(item)
		if err != nil {
			return err
		}
		return e.w.write(exportedPage{kindPage, day, shard, p.number, item.Body, shows})
	})
}

func shownAsJSON(item store.Item) (json.RawMessage, error) {
	shown, err := Show(item)
	if err != nil {
		return nil, err
	}
	return json.Marshal(shown)
}

// A lineWriter writes values as JSON lines, and counts and hashes them.
type lineWriter struct {
	to    io.Writer
	sum   hash.Hash
	lines int
}

func (w *lineWriter) write(line any) error {
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if _, err := w.to.Write(text); err != nil {
		return fmt.Errorf("write the export: %w", err)
	}
	w.sum.Write(text)
	w.lines++
	return nil
}

// kindOf returns the kind of a line of an export.
func kindOf(line []byte) string {
	rest, ok := strings.CutPrefix(string(line[:min(len(line), 40)]), `{"kind":"`)
	kind, _, closed := strings.Cut(rest, `"`)
	if !ok || !closed {
		return ""
	}
	return kind
}
