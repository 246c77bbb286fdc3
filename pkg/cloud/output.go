package cloud

import (
	"io"
	"log/slog"
	"sync"
)

// output writes log lines and metrics to CloudWatch Logs, each in a line of its own.
type output struct {
	mu sync.Mutex
	w  io.Writer
}

// Write writes one whole line.
func (o *output) Write(line []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Write(line)
}

// newLog makes a log of JSON lines, with the level names by which Lambda filters.
// https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
func newLog(to io.Writer) *slog.Logger {
	return slog.New(slog.NewJSONHandler(to, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) > 0 {
			return a
		}
		switch a.Key {
		case slog.TimeKey:
			a.Key = "timestamp"
		case slog.MessageKey:
			a.Key = "message"
		}
		return a
	}}))
}
