// Package units reads the quantities of the simulator's command line: rates, byte rates and shares.
//
// It owns their spelling and nothing else, and stands in no message's way.
package units

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Rate is a number of events per second. It is written as 5, 5/s, 0.2/s, 12/m, 1/h or 1/10s.
type Rate float64

// UnmarshalText reads a rate; it is positive and at most a million per second.
func (r *Rate) UnmarshalText(text []byte) error {
	count, per, found := strings.Cut(string(text), "/")
	n, err := strconv.ParseFloat(count, 64)
	if err != nil {
		return fmt.Errorf("read rate %q: it is written as 5/s, 12/m or 1/10s", text)
	}
	unit := time.Second
	if found {
		if unit, err = duration(per); err != nil {
			return fmt.Errorf("read rate %q: %w", text, err)
		}
	}
	value := n / unit.Seconds()
	if !(value > 0 && value <= 1e6) {
		return fmt.Errorf("read rate %q: it must be above 0 and at most 1000000/s", text)
	}
	*r = Rate(value)
	return nil
}

// MarshalText writes events per second.
func (r Rate) MarshalText() ([]byte, error) {
	return append(strconv.AppendFloat(nil, float64(r), 'g', -1, 64), "/s"...), nil
}

// Interval is the time between two events.
func (r Rate) Interval() time.Duration { return time.Duration(float64(time.Second) / float64(r)) }

func duration(s string) (time.Duration, error) {
	if s != "" && (s[0] < '0' || s[0] > '9') {
		s = "1" + s
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%q is not a time", s)
	}
	return d, nil
}

// ByteRate is a number of bytes per second. It is written as 500, 500B/s, 1kB/s, 64KiB/s or 2MB/s.
type ByteRate int64

// UnmarshalText reads a byte rate; it is positive.
func (b *ByteRate) UnmarshalText(text []byte) error {
	s := strings.TrimSuffix(string(text), "/s")
	scale := 1.0
	for _, unit := range []struct {
		suffix string
		bytes  float64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"kB", 1e3}, {"MB", 1e6}, {"B", 1}} {
		if cut, ok := strings.CutSuffix(s, unit.suffix); ok {
			s, scale = cut, unit.bytes
			break
		}
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || !(n*scale >= 1 && n*scale <= 1e12) {
		return fmt.Errorf("read byte rate %q: it is written as 500B/s, 1kB/s or 64KiB/s", text)
	}
	*b = ByteRate(n * scale)
	return nil
}

// MarshalText writes bytes per second.
func (b ByteRate) MarshalText() ([]byte, error) {
	return append(strconv.AppendInt(nil, int64(b), 10), "B/s"...), nil
}

// Share is a part of a whole from 0 to 1. It is written as 5% or 0.05.
type Share float64

// UnmarshalText reads a share.
func (s *Share) UnmarshalText(text []byte) error {
	number, percent := strings.CutSuffix(string(text), "%")
	n, err := strconv.ParseFloat(number, 64)
	if percent {
		n /= 100
	}
	if err != nil || !(n >= 0 && n <= 1) {
		return fmt.Errorf("read share %q: it is written as 5%% or 0.05", text)
	}
	*s = Share(n)
	return nil
}

// MarshalText writes percent.
func (s Share) MarshalText() ([]byte, error) {
	return append(strconv.AppendFloat(nil, float64(s)*100, 'g', -1, 64), '%'), nil
}

// Has tells whether member index of a numbered group is in the share: any run of members holds about as many as the
// share says, at the same places for the same share.
func (s Share) Has(index int) bool {
	return int64(float64(index+1)*float64(s)) > int64(float64(index)*float64(s))
}
