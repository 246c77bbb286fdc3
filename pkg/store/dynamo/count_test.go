package dynamo_test

import (
	"errors"
	"testing"
	"time"

	"countersign/pkg/store"
)

func TestNoCallOfCountCountsTwice(t *testing.T) {
	c := newClock()
	end := c.now().Add(time.Hour)
	for operation, before := range map[string]int64{"PutItem": 0, "UpdateItem": 1} {
		t.Run(operation, func(t *testing.T) {
			f := &faulty{}
			s, plain := openThrough(t, f, c.now)
			if before > 0 {
				if _, err := plain.Count(t.Context(), keyA, before, 100, end); err != nil {
					t.Fatal(err)
				}
			}
			f.decide = firstOf(operation, 1, lost)
			if got, err := s.Count(t.Context(), keyA, 1, 100, end); err == nil || errors.Is(err, store.ErrFull) {
				t.Errorf("got %d, %v, want an error: nobody knows whether it was counted", got, err)
			}
			if kept, err := plain.Count(t.Context(), keyA, 0, 100, end); err != nil || kept != before+1 {
				t.Errorf("kept: got %d, %v, want %d", kept, err, before+1)
			}
			f.decide = func(asked string, nth int) fate { return fate{lost: asked == operation && nth%2 == 0} }
			for range 200 {
				if got, _ := s.Count(t.Context(), keyA, 1, 20, end); got > 20 {
					t.Fatalf("got %d, want no more than 20", got)
				}
			}
		})
	}
}

func TestANumberThatExpiresAtOnceIsStartedAnewEachTime(t *testing.T) {
	c := newClock()
	s, _ := openThrough(t, &faulty{}, c.now)
	for range 3 {
		if got, err := s.Count(t.Context(), keyA, 2, 3, c.now()); err != nil || got != 2 {
			t.Errorf("got %d, %v, want 2", got, err)
		}
	}
}

func TestACountIsTriedAgainIfItSurelyDidNothing(t *testing.T) {
	for name, want := range map[string]struct {
		fate     func() fate
		requests int
	}{
		"throttled":                        {answer(400, itemThrottled), 3},
		"a server error":                   {answer(500, serverError), 1},
		"a wait for DynamoDB Local's lock": {answer(500, lockWait), 3},
	} {
		c := newClock()
		f := &faulty{decide: firstOf("UpdateItem", 2, want.fate)}
		s, _ := openThrough(t, f, c.now)
		if got, err := s.Count(t.Context(), keyA, 2, 3, c.now().Add(time.Hour)); (err == nil) != (want.requests > 1) {
			t.Errorf("%s: got %d, %v", name, got, err)
		}
		if got := f.count("UpdateItem"); got != want.requests {
			t.Errorf("%s: got %d requests, want %d", name, got, want.requests)
		}
	}
}

func TestCountingOnIsOneRequest(t *testing.T) {
	c := newClock()
	f := &faulty{}
	s, plain := openThrough(t, f, c.now)
	end := c.now().Add(time.Hour)
	if _, err := plain.Count(t.Context(), keyA, 1, 2, end); err != nil {
		t.Fatal(err)
	}
	for range 3 { // the last one finds the count at its cap
		s.Count(t.Context(), keyA, 1, 3, end)
	}
	if got := f.total(); got != 3 {
		t.Errorf("got %d requests, want 3", got)
	}
}
