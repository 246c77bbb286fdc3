package storetest

import (
	"errors"
	"math"
	"slices"
	"time"

	"countersign/pkg/store"
)

// countCases check a number that many calls add to, and that never becomes greater than its cap.
var countCases = []contractCase{
	{"a count adds up to its cap and no further", func(r *rig) {
		key, end := r.key("n"), r.in(time.Hour)
		r.wantCount(key, 0, 5, end, 0, nil)
		r.wantCount(key, 2, 5, end, 2, nil)
		r.wantCount(key, 4, 5, end, 2, store.ErrFull)
		r.wantCount(key, 3, 5, end, 5, nil)
		r.wantCount(key, 1, 5, end, 5, store.ErrFull)
		r.wantCount(key, 0, 5, end, 5, nil)
		r.wantCount(key, 1, 6, end, 6, nil)
		r.wantCount(key, 1, 3, end, 6, store.ErrFull)
		r.wantCount(key, 0, 3, end, 6, nil)
		r.wantCount(r.key("other"), 0, 5, end, 0, nil)
	}},

	{"a count that would start over its cap doesn't start", func(r *rig) {
		key, end := r.key("n"), r.in(time.Hour)
		r.wantCount(key, 6, 5, end, 0, store.ErrFull)
		r.wantCount(key, 1, 0, end, 0, store.ErrFull)
		r.wantCount(key, 0, 5, end, 0, nil)
		r.wantCount(key, 5, 5, end, 5, nil)
	}},

	{"a count doesn't overflow", func(r *rig) {
		key, end := r.key("n"), r.in(time.Hour)
		r.wantCount(key, 1, math.MaxInt64, end, 1, nil)
		r.wantCount(key, math.MaxInt64, math.MaxInt64, end, 1, store.ErrFull)
		r.wantCount(key, math.MaxInt64-1, math.MaxInt64, end, math.MaxInt64, nil)
	}},

	{"a count starts again when it has expired, and its expiry isn't moved", func(r *rig) {
		key, start := r.key("n"), r.clock.Now()
		r.wantCount(key, 2, 5, start.Add(10*time.Second-1), 2, nil)
		r.wantCount(key, 2, 5, start.Add(time.Hour), 4, nil)
		r.clock.Advance(10*time.Second - 1)
		r.wantCount(key, 2, 5, start.Add(time.Hour), 4, store.ErrFull)
		r.clock.Advance(1)
		r.wantCount(key, 0, 5, start.Add(time.Hour), 0, nil)
		r.wantCount(key, 3, 5, start.Add(20*time.Second), 3, nil)
		r.clock.Advance(10*time.Second - 1)
		r.wantCount(key, 0, 5, start.Add(time.Hour), 3, nil)
		r.clock.Advance(1)
		r.wantCount(key, 0, 5, start.Add(time.Hour), 0, nil)
	}},

	{"reading a count doesn't start it", func(r *rig) {
		key, start := r.key("n"), r.clock.Now()
		r.wantCount(key, 0, 5, start.Add(time.Second), 0, nil)
		r.wantCount(key, 1, 5, start.Add(time.Hour), 1, nil)
		r.clock.Advance(time.Minute)
		r.wantCount(key, 0, 5, start.Add(time.Second), 1, nil)
	}},

	{"of 64 counts to a cap of 20, 20 succeed", func(r *rig) {
		r.countTogether(r.key("n"))
	}},

	{"of 64 counts from an expired number to a cap of 20, 20 succeed", func(r *rig) {
		r.wantCount(r.key("n"), 20, 20, r.in(time.Second), 20, nil)
		r.clock.Advance(time.Second)
		r.countTogether(r.key("n"))
	}},
}

// wantCount makes a Count, and checks the number and the error that it returns.
func (r *rig) wantCount(key store.Key, n, cap int64, expires time.Time, want int64, wantErr error) {
	r.Helper()
	got, err := r.store.Count(r.Context(), key, n, cap, expires)
	if got != want || !errors.Is(err, wantErr) {
		r.Fatalf("Count of %d with cap %d: got %d, %v, want %d, %v", n, cap, got, err, want, wantErr)
	}
}

// countTogether makes 64 calls at the same time, which add 1 to a number with a cap of 20. Those that succeed must be 20, and they
// must return 1 to 20.
func (r *rig) countTogether(key store.Key) {
	r.Helper()
	type answer struct {
		number int64
		err    error
	}
	end, numbers := r.in(time.Hour), []int64{}
	for _, a := range together(64, func(int) answer {
		number, err := r.store.Count(r.Context(), key, 1, 20, end)
		return answer{number, err}
	}) {
		switch {
		case a.err == nil:
			numbers = append(numbers, a.number)
		case !errors.Is(a.err, store.ErrFull):
			r.Fatalf("Count: got %v, want nil or %v", a.err, store.ErrFull)
		}
	}
	slices.Sort(numbers)
	want := make([]int64, 20)
	for i := range want {
		want[i] = int64(i + 1)
	}
	if !slices.Equal(numbers, want) {
		r.Fatalf("got the numbers %v, want 1 to 20", numbers)
	}
	r.wantCount(key, 0, 20, end, 20, nil)
}
