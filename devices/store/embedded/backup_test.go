package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/fleetcast/fleetcast/devices/store"
)

func backupOf(t *testing.T, s *Store) ([]byte, store.Stats) {
	t.Helper()
	var to bytes.Buffer
	promised := int64(0)
	has, err := s.Backup(t.Context(), func(n int64) (io.Writer, error) { promised = n; return &to, nil })
	if err != nil || promised != int64(to.Len()) {
		t.Fatalf("a backup of %d bytes that promised %d: %v", to.Len(), promised, err)
	}
	return to.Bytes(), has
}

func TestABackupIsTheStoreAsOfOneCommit(t *testing.T) {
	t.Parallel()
	s := openIn(t, t.TempDir())
	for n := range 30 {
		commitAll(t, s, op(fmt.Sprint("d", n), "value"))
	}
	want := contents(t, s)
	backup, has := backupOf(t, s)
	commitAll(t, s, op("later", "value"))
	dir := t.TempDir()
	got, err := Restore(dir, bytes.NewReader(backup))
	if err != nil || got.Revision != has.Revision || got.Records != 30 {
		t.Fatalf("restored %+v, %v; the backup said %+v", got, err, has)
	}
	if again := contents(t, openIn(t, dir)); !maps.Equal(again, want) {
		t.Errorf("restored %v", again)
	}
	if _, err := Restore(dir, bytes.NewReader(backup)); !errors.Is(err, os.ErrExist) {
		t.Errorf("a restore over a store: %v", err)
	}
	backup[len(backup)/2] ^= 1
	if _, err := Restore(t.TempDir(), bytes.NewReader(backup[:len(backup)/2])); !errors.Is(err, ErrDamaged) {
		t.Errorf("half a backup: %v", err)
	}
}

func TestKindsAreThoseOfWhichThereAreRecords(t *testing.T) {
	t.Parallel()
	s := openIn(t, t.TempDir())
	commitAll(t, s, op("a", "1"), store.Op{Kind: "fleet", ID: "north", Value: []byte("2")}, store.Op{Kind: "audit", ID: "x", Value: []byte("3")})
	commitAll(t, s, store.Op{Kind: "audit", ID: "x"})
	if kinds, err := s.Kinds(); err != nil || !slices.Equal(kinds, []store.Kind{"device", "fleet"}) {
		t.Errorf("kinds %v, %v", kinds, err)
	}
}

// What the library deletes stays in its pages: only a file that is written anew has it no more.
func TestCompactLeavesNothingOfWhatWasDeleted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openIn(t, dir)
	for n := range 30 {
		commitAll(t, s, op(fmt.Sprint("d", n), "here stays-secret"))
	}
	commitAll(t, s, op("erase-me", "personal-secret"))
	commitAll(t, s, store.Op{Kind: "device", ID: "erase-me"})
	if !fileHas(t, dir, "personal-secret") {
		t.Fatal("the file has nothing of it before: the test tests nothing")
	}
	want, feed := contents(t, s), watch(t, s)
	if err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if fileHas(t, dir, "personal-secret") || fileHas(t, dir, "erase-me") || !fileHas(t, dir, "stays-secret") {
		t.Error("the file still has what was deleted, or lost what was not")
	}
	if got := contents(t, s); !maps.Equal(got, want) {
		t.Errorf("after it there is %v", got)
	}
	at := commitAll(t, s, op("next", "1"))
	if u, err := feed.Next(t.Context()); err != nil || u.Revision != at {
		t.Errorf("a feed goes on with %v, %v", u.Revision, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	want["next"] = "1"
	if got := contents(t, openIn(t, dir)); !maps.Equal(got, want) {
		t.Errorf("after a restart there is %v", got)
	}
}

func watch(t *testing.T, s *Store) store.Feed {
	t.Helper()
	feed, err := s.Watch(t.Context(), "device")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(feed.Close)
	if _, err := feed.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	return feed
}

func fileHas(t *testing.T, dir, text string) bool {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(b, []byte(text))
}
