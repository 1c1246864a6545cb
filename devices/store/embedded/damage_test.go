package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// goodFile makes a file of 40 commits and returns its bytes and what it holds.
func goodFile(t *testing.T) ([]byte, map[string]string) {
	t.Helper()
	dir := t.TempDir()
	s := openIn(t, dir)
	want := make(map[string]string)
	for n := range 40 {
		id, value := fmt.Sprint("d", n), strings.Repeat(fmt.Sprint(n), 30)
		want[id] = value
		commitAll(t, s, op(id, value))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	return good, want
}

// openBytes opens a file of these bytes and returns what it holds, or Open's error.
func openBytes(t *testing.T, content []byte) (map[string]string, error) {
	t.Helper()
	dir := t.TempDir() // a new one each time: the library keeps the lock of a file at which it panicked
	if err := os.WriteFile(filepath.Join(dir, FileName), content, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(Options{Dir: dir})
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Close() }()
	return contents(t, s), nil
}

func TestADamagedRecordIsFound(t *testing.T) {
	good, want := goodFile(t)
	for _, value := range want {
		bad := append([]byte(nil), good...)
		n := 0
		for at := 0; ; n++ { // the library leaves older copies of a page in the file
			i := bytes.Index(bad[at:], []byte(value))
			if i < 0 {
				break
			}
			bad[at+i] ^= 1
			at += i + 1
		}
		if _, err := openBytes(t, bad); n == 0 || !errors.Is(err, ErrDamaged) {
			t.Errorf("with %d copies of %q damaged open gives %v", n, value, err)
		}
	}
	if got, err := openBytes(t, good); err != nil || !maps.Equal(got, want) {
		t.Errorf("as it was written it gives %v, %v", got, err)
	}
}

// Whatever byte of the file is another than was written: it is found, or it is one that holds nothing, or it belongs to
// the newest root, and the commit before is served. It is never a panic.
func TestDamageAnywhereIsFound(t *testing.T) {
	if checked {
		t.Skip("the race detector ends the process where the library follows a wrong number, which is what is tested: run without -race, as make test does after it")
	}
	good, want := goodFile(t)
	found, step := 0, 13
	if os.Getenv("FLEETCAST_SOAK") != "" {
		step = 1
	}
	for at := 0; at < len(good); at += step {
		bad := append([]byte(nil), good...)
		bad[at] ^= 0x55
		got, err := openBytes(t, bad)
		if err != nil {
			found++
			continue
		}
		if at < 2*os.Getpagesize() { // the two roots
			got["d39"] = want["d39"]
		}
		if !maps.Equal(got, want) {
			t.Errorf("byte %d: damage is served: %v", at, got)
		}
	}
	if found == 0 {
		t.Error("no damage was found at all")
	}
	for cut := range len(good) {
		if cut%501 > 1 {
			continue
		}
		if got, err := openBytes(t, good[:cut]); err == nil && cut > 0 && !maps.Equal(got, want) {
			t.Errorf("a file cut at %d gives %v", cut, got)
		}
	}
}
