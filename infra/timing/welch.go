package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
)

// A row has the results of one way of asking: the largest |t| for each user.
type row struct {
	Ask    string
	Own    bool // no build reads the user that is asked about
	Users  []string
	T      []float64
	Median float64 // the median of the times for the unknown user, in microseconds
}

func (r row) most() float64 { return slices.Max(r.T) }

type table []row

func (t table) print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i, r := range t {
		if i == 0 {
			fmt.Fprint(w, "bearer and call\tµs")
			for _, user := range r.Users {
				fmt.Fprint(w, "\t"+user)
			}
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s\t%.0f", r.Ask, r.Median)
		for _, t := range r.T {
			fmt.Fprintf(w, "\t%.1f", t)
		}
		fmt.Fprintln(w)
	}
	w.Flush()
}

const crops = 100

// largestT returns the largest |t| of Welch's test for two sets of times, over all of them and over those below each
// threshold. The thresholds are those of dudect: the percentiles 1 - 0.5^(i/10) of both sets together, from 7 to 99.9 %.
func largestT(a, b []float64) float64 {
	pooled := slices.Sorted(slices.Values(append(slices.Clone(a), b...)))
	most := welch(a, b, math.Inf(1))
	for i := 1; i <= crops; i++ {
		percentile := 1 - math.Pow(0.5, float64(i)/10)
		most = max(most, welch(a, b, pooled[int(percentile*float64(len(pooled)))]))
	}
	return most
}

// welch returns |t| of Welch's test for the times of two sets that are at most threshold. It is 0 if there are too few.
func welch(a, b []float64, threshold float64) float64 {
	meanA, varianceA, nA := moments(a, threshold)
	meanB, varianceB, nB := moments(b, threshold)
	if nA < 2 || nB < 2 || varianceA+varianceB == 0 {
		return 0
	}
	return math.Abs(meanA-meanB) / math.Sqrt(varianceA/nA+varianceB/nB)
}

// moments returns the mean, the variance and the number of the times that are at most threshold, by Welford's method.
func moments(all []float64, threshold float64) (mean, variance, n float64) {
	var squares float64
	for _, x := range all {
		if x > threshold {
			continue
		}
		n++
		d := x - mean
		mean += d / n
		squares += d * (x - mean)
	}
	if n < 2 {
		return mean, 0, n
	}
	return mean, squares / (n - 1), n
}
