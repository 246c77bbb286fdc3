package record

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"countersign/pkg/store"
	"countersign/pkg/store/storetest"
)

// A person is a record in the build that brought format 2.
type person struct {
	Head
	Name  string    `json:"name" record:"1"`
	Phone string    `json:"phone" record:"2,since=2"`
	Seen  []contact `json:"seen" record:"3"`
}

type contact struct {
	Address string    `json:"address" record:"1"`
	Proven  time.Time `json:"proven" record:"2,since=2"`
}

// An olderPerson is the same record in the build before that.
type olderPerson struct {
	Head
	Name string         `json:"name" record:"1"`
	Seen []olderContact `json:"seen" record:"3"`
}

type olderContact struct {
	Address string `json:"address" record:"1"`
}

// These are builds that follow each other, with the formats that they write and read.
var (
	older  = build{1, 1}
	newer  = build{1, 2}
	newest = build{2, 2}
)

// A deployment has one record in a store, and a key ring that says which format to write. Its processes can be of different
// builds.
type deployment struct {
	*testing.T
	store  store.Store
	format int // the format that the key ring says
}

func (d *deployment) read(b build, into Record) error {
	item, err := store.GetOne(d.Context(), d.store, store.Key{Partition: "p", Sort: "person"})
	if err != nil {
		d.Fatal(err)
	}
	if item.Absent() {
		into.header().Item = item
		return nil
	}
	return b.decode(item, into)
}

// write lets a process of a build write a record that it has read and changed. heard is the format that the process knows from
// the key ring.
func (d *deployment) write(b build, heard int, r Record) error {
	d.Helper()
	body, err := b.encode(heard, r)
	if err != nil {
		return err
	}
	was := r.header().Item
	if err := d.store.Commit(d.Context(), store.NewVersion(), store.Write{Key: was.Key, Expect: was.Version, Body: body}); err != nil {
		d.Fatal(err)
	}
	return nil
}

func (d *deployment) wantOlder(name string) {
	d.Helper()
	var r olderPerson
	if err := d.read(older, &r); err != nil || r.Name != name || r.Format != 1 {
		d.Errorf("the older build: got %+v, %v, want %s", r, err, name)
	}
}

func (d *deployment) wantNewer(b build, name, phone string, format int) {
	d.Helper()
	var r person
	if err := d.read(b, &r); err != nil || r.Name != name || r.Phone != phone || r.Format != format {
		d.Errorf("build %v: got %+v, %v, want %s with the phone %q in format %d", b, r, err, name, phone, format)
	}
}

func TestACanaryAndARollbackByOneBuildReadWhatTheyMeet(t *testing.T) {
	d := &deployment{T: t, store: storetest.NewModel(time.Now), format: 1}
	rename := func(b build, name string) {
		t.Helper()
		var r Record
		switch was := (&olderPerson{}); b {
		case older:
			if err := d.read(b, was); err != nil {
				t.Fatal(err)
			}
			was.Name, r = name, was
		default:
			is := &person{}
			if err := d.read(b, is); err != nil {
				t.Fatal(err)
			}
			is.Name, r = name, is
		}
		if err := d.write(b, d.format, r); err != nil {
			t.Fatal(err)
		}
	}

	// At first only the older build runs. Then a canary of the newer one runs beside it. Each reads what the other has written.
	rename(older, "ana")
	d.wantNewer(newer, "ana", "", 1)
	rename(newer, "ben")
	d.wantOlder("ben")
	rename(older, "eve")
	d.wantNewer(newer, "eve", "", 1)

	// The new field can't be written yet, because the older build wouldn't know it.
	var r person
	if err := d.read(newer, &r); err != nil {
		t.Fatal(err)
	}
	r.Phone = "+33612345678"
	if err := d.write(newer, d.format, &r); err == nil || !strings.Contains(err.Error(), "Phone") {
		t.Errorf("a field of format 2 in format 1: got %v, want that it is refused", err)
	}
	r.Phone, r.Seen = "", []contact{{Address: "a", Proven: time.Unix(1, 0)}}
	if err := d.write(newer, d.format, &r); err == nil || !strings.Contains(err.Error(), "Proven") {
		t.Errorf("the same in a list: got %v, want that it is refused", err)
	}

	// All processes are of the newer build now. Then it is taken back after all.
	rename(newer, "eva")
	d.wantOlder("eva")

	// The newer build runs everywhere, and won't be taken back. So the key ring says format 2.
	d.format = 2
	if err := d.read(newer, &r); err != nil {
		t.Fatal(err)
	}
	r.Phone = "+33612345678"
	if err := d.write(newer, d.format, &r); err != nil {
		t.Fatal(err)
	}
	d.wantNewer(newer, "eva", "+33612345678", 2)

	// A process that doesn't know about format 2 yet drops nothing.
	r = person{}
	if err := d.read(newer, &r); err != nil {
		t.Fatal(err)
	}
	r.Name = "ina"
	if err := d.write(newer, 1, &r); err != nil {
		t.Fatal(err)
	}
	d.wantNewer(newer, "ina", "+33612345678", 2)

	// The build after that is rolled out, and taken back. The newer build reads and writes what the newest has written.
	d.wantNewer(newest, "ina", "+33612345678", 2)
	rename(newest, "uma")
	d.wantNewer(newer, "uma", "+33612345678", 2)
	rename(newer, "leo")
	d.wantNewer(newest, "leo", "+33612345678", 2)

	// A build that was taken back too far fails closed. So does a build that is told to write a format that it can't write.
	if err := d.read(older, &olderPerson{}); !errors.Is(err, ErrUnreadable) || !strings.Contains(err.Error(), "format 2") {
		t.Errorf("the older build reads format 2 with %v, want ErrUnreadable", err)
	}
	if body, err := older.encode(2, &olderPerson{Name: "ana"}); err == nil {
		t.Errorf("the older build writes format 2: % x", body)
	}
}

func TestARecordThatIsReadHasWhatItsFormatHasAndNothingElse(t *testing.T) {
	old, err := older.encode(0, &olderPerson{Name: "ana"})
	if err != nil {
		t.Fatal(err)
	}
	r := person{Phone: "left over"}
	if err := newer.decode(store.Item{Body: old}, &r); err != nil || r.Phone != "" {
		t.Errorf("got %+v, %v, want nothing of what was there before", r, err)
	}
	with, err := newer.encode(2, &person{Name: "ana", Phone: "1"})
	if err != nil {
		t.Fatal(err)
	}
	with = bytes.Replace(with, []byte{0, 2}, []byte{0, 1}, 1) // so the record says that it has format 1
	if err := newer.decode(store.Item{Body: with}, &person{}); !errors.Is(err, ErrUnreadable) {
		t.Errorf("a field of format 2 in format 1: got %v, want ErrUnreadable", err)
	}
}

func TestAFormatBeforeTheOneThatIsWrittenCountsAsThat(t *testing.T) {
	for _, says := range []int{-1, 0, 1, 2} {
		if body, err := newest.encode(says, &person{Name: "ana", Phone: "1"}); err != nil || body[2] != 2 {
			t.Errorf("the key ring says %d: got % x, %v, want format 2", says, body, err)
		}
	}
}

func TestThisBuildReadsItsFormatAndAtMostTheNext(t *testing.T) {
	if Latest != Format && Latest != Format+1 {
		t.Errorf("this build writes format %d and reads up to %d, want that or one more", Format, Latest)
	}
}

func TestATagThatMakesNoSenseIsAnError(t *testing.T) {
	type noNumber struct {
		Head
		Name string `record:"x"`
	}
	type noFormat struct {
		Head
		Name string `record:"1,since=x"`
	}
	type twice struct {
		Head
		Name  string `record:"1"`
		Phone string `record:"1,since=2"`
	}
	for _, r := range []Record{&noNumber{}, &noFormat{}, &twice{}} {
		if body, err := Encode(r); err == nil {
			t.Errorf("%T: got % x, want an error", r, body)
		}
	}
}
