package history

import (
	"encoding/csv"
	"io"
	"strconv"
	"time"
)

// Header is the first line of CSV.
var Header = []string{"device", "fleet", "received", "at", "lat", "lon", "altitude_m", "speed_mps", "heading_deg", "accuracy_m", "battery_pct", "late", "entry", "metrics"}

// CSV writes readings as CSV: times as RFC 3339 in UTC, metrics as JSON, what is not known as nothing.
type CSV struct{ w *csv.Writer }

// NewCSV writes the header.
func NewCSV(w io.Writer) (*CSV, error) {
	c := &CSV{csv.NewWriter(w)}
	return c, c.w.Write(Header)
}

// Write writes a reading.
func (c *CSV) Write(l *Line) error {
	return c.w.Write([]string{
		l.Device, l.Fleet, moment(l.Received), moment(l.At), number(l.Lat), number(l.Lon), number(l.Altitude), number(l.Speed),
		number(l.Heading), number(l.Accuracy), number(l.Battery), strconv.FormatBool(l.Late), l.Entry, string(l.Metrics),
	})
}

// Flush writes out what is held.
func (c *CSV) Flush() error {
	c.w.Flush()
	return c.w.Error()
}

func moment(ms int64) string {
	if ms == 0 {
		return ""
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
}

func number(f *float64) string {
	if f == nil {
		return ""
	}
	return strconv.FormatFloat(*f, 'f', -1, 64)
}
