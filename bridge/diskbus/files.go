package diskbus

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// file is what the log writes to. Tests put faults in its place.
type file interface {
	io.WriterAt
	io.Closer
	Sync() error
	Truncate(size int64) error
}

// environment is what differs in tests: files that fail, and other boots.
type environment struct {
	create func(path string) (file, error)
	bootID func() string
}

func realEnvironment() environment {
	return environment{
		create: func(path string) (file, error) {
			return os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) //nolint:gosec // below the operator's directory
		},
		bootID: bootID,
	}
}

// identity says which file a segment is, so that a copy of it is known for one.
type identity struct {
	device, inode uint64
	born          int64 // unix ns
}

// same tells whether it is the same file. The number of a device may change from boot to boot.
func (i identity) same(other identity, sameBoot bool) bool {
	return i.inode == other.inode && i.born == other.born && (!sameBoot || i.device == other.device)
}

// The names of files. A segment and the snapshot that stands for all segments before it have the same number.
const (
	lockName      = "lock"
	segmentPrefix = "log-"
	statePrefix   = "state-"
	tempSuffix    = ".tmp"
)

func segmentPath(dir string, n uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%s%016d", segmentPrefix, n))
}

func statePath(dir string, n uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%s%016d", statePrefix, n))
}

// listing is what a data directory holds, in ascending order.
type listing struct {
	segments, states []uint64
	temporary        []string
}

func list(dir string) (listing, error) {
	var l listing
	entries, err := os.ReadDir(dir)
	if err != nil {
		return l, err
	}
	for _, e := range entries {
		name := e.Name()
		switch {
		case !strings.HasPrefix(name, segmentPrefix) && !strings.HasPrefix(name, statePrefix): // others may keep things here
		case strings.HasSuffix(name, tempSuffix):
			l.temporary = append(l.temporary, filepath.Join(dir, name))
		case strings.HasPrefix(name, segmentPrefix):
			l.segments = appendNumber(l.segments, name[len(segmentPrefix):])
		case strings.HasPrefix(name, statePrefix):
			l.states = appendNumber(l.states, name[len(statePrefix):])
		}
	}
	slices.Sort(l.segments)
	slices.Sort(l.states)
	return l, nil
}

// appendNumber leaves out what is no number: that file is not ours.
func appendNumber(to []uint64, digits string) []uint64 {
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || len(digits) != 16 {
		return to
	}
	return append(to, n)
}

// removeBefore deletes the segments and snapshots that the snapshot n stands for.
func removeBefore(dir string, n uint64) error {
	l, err := list(dir)
	if err != nil {
		return err
	}
	var errs []error
	// Segments go in ascending order, so that what a crash leaves has no hole in it.
	for _, old := range l.segments {
		if old < n {
			errs = append(errs, os.Remove(segmentPath(dir, old)))
		}
	}
	for _, old := range l.states {
		if old < n {
			errs = append(errs, os.Remove(statePath(dir, old)))
		}
	}
	return errors.Join(errs...)
}

func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the operator's setting
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
