package history

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	suffix      = ".ndjson"
	timeInNames = "20060102T150405.000Z"
	// maxLine is above every reading's: an asset has at most 16 KiB.
	maxLine = 256 << 10
)

// File is one of the history's.
type File struct {
	Path string
	Name string // below the directory: p0/20261126T134500.123Z-ABCDEFGH.ndjson
}

// List returns the files of a directory, in the order in which they began, partition by partition.
func List(dir string) ([]File, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "p*", "*"+suffix))
	if err != nil {
		return nil, fmt.Errorf("list history: %w", err)
	}
	slices.Sort(paths)
	files := make([]File, 0, len(paths))
	for _, p := range paths {
		name, err := filepath.Rel(dir, p)
		if err != nil {
			return nil, fmt.Errorf("list history: %w", err)
		}
		files = append(files, File{Path: p, Name: filepath.ToSlash(name)})
	}
	return files, nil
}

// Line is a reading as it stands in a file. Pointers are nil where the device did not say it.
type Line struct {
	Device   string   `json:"device"`
	Fleet    string   `json:"fleet"`
	Received int64    `json:"received"` // unix ms, when the inlet took it
	Entry    string   `json:"entry"`    // p{partition}-{number}: with received it is that of no other reading
	Late     bool     `json:"late"`     // the device or its broker had kept it back
	At       int64    `json:"at"`       // unix ms, the device's claim; 0 where it makes none
	Lat      *float64 `json:"lat"`      // degrees
	Lon      *float64 `json:"lon"`      // degrees
	Altitude *float64 `json:"altitude"` // m
	Speed    *float64 `json:"speed"`    // m/s
	Heading  *float64 `json:"heading"`  // degrees
	Accuracy *float64 `json:"accuracy"` // m
	Battery  *float64 `json:"battery"`  // %

	Metrics json.RawMessage `json:"metrics"` // an object, or nothing
}

// Read calls each with every whole line of a file from a place on, and returns the place after the last one that it took. A line
// without an end is left for the next time: its writer may be about to end it. One that is no reading is skipped and counted.
func Read(path string, from int64, each func(raw []byte, l *Line) error) (to int64, skipped int, err error) {
	f, err := os.Open(path) //nolint:gosec // a file of the operator's directory
	if err != nil {
		return from, 0, fmt.Errorf("open history: %w", err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		return from, 0, fmt.Errorf("read history: %w", err)
	}
	to = from
	r := bufio.NewReaderSize(f, maxLine)
	for {
		raw, err := r.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF):
			return to, skipped, nil
		case errors.Is(err, bufio.ErrBufferFull): // no line of ours
			to += int64(len(raw))
			continue
		case err != nil:
			return to, skipped, fmt.Errorf("read history: %w", err)
		}
		var l Line
		if json.Unmarshal(raw, &l) != nil || l.Device == "" || l.Entry == "" {
			skipped++
		} else if err := each(bytes.TrimSpace(raw), &l); err != nil {
			return to, skipped, err
		}
		to += int64(len(raw))
	}
}

// Choice is which readings are meant; what is zero is not asked for.
type Choice struct {
	Device, Fleet string
	From, Before  time.Time // by when they were received
}

// Has tells whether the reading is meant.
func (c *Choice) Has(l *Line) bool {
	at := time.UnixMilli(l.Received)
	return (c.Device == "" || c.Device == l.Device) && (c.Fleet == "" || c.Fleet == l.Fleet) &&
		(c.From.IsZero() || !at.Before(c.From)) && (c.Before.IsZero() || at.Before(c.Before))
}

// Forget takes readings out of every file that nobody writes to any more, which are those that began longer ago than rotate. It
// returns the number of readings, and of files that it left as they may be written to. A file that it changes gets a name of its
// own, for whoever remembers how far it had read the old one.
func Forget(dir string, c Choice, rotate time.Duration) (forgotten, open int, err error) {
	return forgetAll(dir, c.Has, func(f File) bool { return f.mayBeOpen(rotate) })
}

func forgetAll(dir string, goes func(l *Line) bool, mayBeOpen func(f File) bool) (forgotten, open int, err error) {
	files, err := List(dir)
	if err != nil {
		return 0, 0, err
	}
	for _, f := range files {
		if mayBeOpen(f) {
			open++
			continue
		}
		n, _, err := forgetIn(f.Path, goes)
		forgotten += n
		if err != nil {
			return forgotten, open, err
		}
	}
	return forgotten, open, nil
}

// mayBeOpen tells whether the file began so lately that its writer may not have closed it.
func (f File) mayBeOpen(rotate time.Duration) bool {
	began, err := f.began()
	return err != nil || time.Since(began) < rotate+clockMargin
}

// clockMargin is how far a clock may be put back while a file is open.
const clockMargin = time.Minute

// began is when the file began, as its name says.
func (f File) began() (time.Time, error) {
	at, _, _ := strings.Cut(filepath.Base(f.Path), "-")
	return time.Parse(timeInNames, at)
}

// forgetIn takes readings out of a file that is closed. It returns how many, and the path of what remains, which is "" where
// nothing does.
func forgetIn(path string, goes func(l *Line) bool) (n int, now string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, path, fmt.Errorf("read history: %w", err)
	}
	var rest bytes.Buffer
	if _, _, err := Read(path, 0, func(raw []byte, l *Line) error {
		if goes(l) {
			n++
			return nil
		}
		rest.Write(raw)
		rest.WriteByte('\n')
		return nil
	}); err != nil || n == 0 {
		return 0, path, err
	}
	if rest.Len() == 0 {
		return n, "", os.Remove(path)
	}
	bare := strings.TrimSuffix(path, suffix)
	f, err := os.OpenFile(bare+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) //nolint:gosec // beside a file of the operator's directory
	if err != nil {
		return 0, path, fmt.Errorf("rewrite history: %w", err)
	}
	_, err = f.Write(rest.Bytes())
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil { // its age is that of its readings
		err = os.Chtimes(f.Name(), info.ModTime(), info.ModTime())
	}
	now = bare + "-" + rand.Text()[:4] + suffix
	if err == nil {
		err = os.Rename(f.Name(), now)
	}
	if err != nil {
		return 0, path, errors.Join(fmt.Errorf("rewrite history: %w", err), os.Remove(f.Name()))
	}
	return n, now, os.Remove(path)
}
