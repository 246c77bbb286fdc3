package dynamo_test

import (
	"testing"
	"time"
)

func TestALostAnswerToACountMayCountTwiceButNeverOverTheCap(t *testing.T) {
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
			got, err := s.Count(t.Context(), keyA, 1, 100, end)
			if err != nil || got < before+1 || got > before+2 {
				t.Errorf("got %d, %v, want %d or %d", got, err, before+1, before+2)
			}
			if kept, err := plain.Count(t.Context(), keyA, 0, 100, end); err != nil || kept != got {
				t.Errorf("kept: got %d, %v, want %d", kept, err, got)
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

func TestAServerErrorBeforeACountIsTriedAgain(t *testing.T) {
	c := newClock()
	f := &faulty{decide: firstOf("UpdateItem", 2, answer(500, serverError))}
	s, _ := openThrough(t, f, c.now)
	if got, err := s.Count(t.Context(), keyA, 2, 3, c.now().Add(time.Hour)); err != nil || got != 2 {
		t.Errorf("got %d, %v, want 2", got, err)
	}
	if got := f.count("UpdateItem"); got != 3 {
		t.Errorf("got %d requests, want 3", got)
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
