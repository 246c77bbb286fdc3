package mfa_test

import (
	"context"
	"testing"
	"time"

	"countersign/pkg/mfa"
	"countersign/pkg/mfa/mfatest"
	"countersign/pkg/seal"
	"countersign/pkg/store/record"
	"countersign/pkg/store/storetest"
)

// saying is a keeper whose ring names the format of records that the test chooses.
type saying struct {
	*mfatest.Keys
	format int
}

func (s saying) Ring(ctx context.Context) (*seal.Ring, error) {
	ring, err := s.Keys.Ring(ctx)
	return ring.WithRecordFormat(s.format), err
}

func (s saying) Reload(ctx context.Context) (*seal.Ring, error) { return s.Ring(ctx) }

func TestWhereTheKeyRingSaysAFormatThatThisBuildDoesNotHaveNothingIsWritten(t *testing.T) {
	clock := storetest.NewClock(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
	db := storetest.NewModel(clock.Now)
	w := mfatest.Over(t, db, db, clock)
	w.SetPolicy(t, org, "kls", nil)
	before := len(db.Items())
	w.Service.Keys = saying{w.Keys, record.Latest + 1}
	_, err := w.StartChallenge(t.Context(), w.Client, ana())
	wantCode(t, err, mfa.Unavailable)
	if got := len(db.Items()); got != before || len(w.Outbox.To(mail)) > 0 {
		t.Errorf("got %d items and %d messages, want %d and none", got, len(w.Outbox.To(mail)), before)
	}
	for _, format := range []int{0, record.Format, record.Latest} {
		w.Service.Keys = saying{w.Keys, format}
		started(t, w, ana())
	}
}
