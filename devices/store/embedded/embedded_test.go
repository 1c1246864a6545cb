package embedded

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/store"
	"github.com/fleetcast/fleetcast/devices/store/storetest"
)

// childDir, in the environment, makes the test binary a process that commits until it is killed.
const childDir = "FLEETCAST_TEST_STORE_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := commitForEver(dir); err != nil {
			panic(err) // the test that started this process finds less than it waits for
		}
	}
	goleak.VerifyTestMain(m)
}

func openIn(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func op(id, value string) store.Op { return store.Op{Kind: "device", ID: id, Value: []byte(value)} }

func commitAll(t testing.TB, s *Store, ops ...store.Op) store.Revision {
	t.Helper()
	at, err := s.Commit(t.Context(), ops)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func contents(t testing.TB, s *Store) map[string]string {
	t.Helper()
	records, err := s.List(t.Context(), "device", "", store.MaxList)
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]string)
	for _, r := range records {
		out[r.ID] = string(r.Value)
	}
	return out
}

func TestAFileKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T, o storetest.Options) store.Store {
		s, err := Open(Options{Dir: t.TempDir(), MaxRecords: o.MaxRecords})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	})
}

func TestWhatWasCommittedIsThereAfterARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "here")
	s := openIn(t, dir)
	commitAll(t, s, op("a", "1"), op("b", "1"))
	last := commitAll(t, s, op("a", "2"), store.Op{Kind: "device", ID: "b"}, store.Op{Kind: "rule", ID: "r", Value: []byte{}})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openIn(t, dir)
	if got := contents(t, s); !maps.Equal(got, map[string]string{"a": "2"}) {
		t.Errorf("after the restart there is %v", got)
	}
	if st := s.Stats(); st.Records != 2 || st.Revision != last || st.Bytes == 0 {
		t.Errorf("stats are %+v", st)
	}
	if next := commitAll(t, s, op("c", "1")); next <= last {
		t.Errorf("revision %d after %d and a restart", next, last)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, FileName): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, %v", path, info.Mode(), err)
		}
	}
}

func TestOneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir)
	if _, err := Open(Options{Dir: dir}); !errors.Is(err, ErrInUse) || devices.KindOf(err) != devices.Conflict {
		t.Errorf("a second open gives %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	openIn(t, dir)
}

// commitForEver writes pairs and says on standard output which are committed.
func commitForEver(dir string) error {
	s, err := Open(Options{Dir: dir})
	if err != nil {
		return err
	}
	n := 0
	if r, err := s.Get(context.Background(), "device", "left"); err == nil {
		n, _ = strconv.Atoi(string(r.Value))
	}
	for {
		n++
		text := strconv.Itoa(n)
		if _, err := s.Commit(context.Background(), []store.Op{op("left", text), op(fmt.Sprint("d", n%50), text), op("right", text)}); err != nil {
			return err
		}
		if _, err := os.Stdout.WriteString(text + "\n"); err != nil {
			return err
		}
	}
}

func TestAProcessThatIsKilledKeepsWhatItCommittedAndNothingByHalves(t *testing.T) {
	dir := t.TempDir()
	rounds := 5
	if os.Getenv("FLEETCAST_SOAK") != "" {
		rounds = 100
	}
	for round := range rounds {
		told := killedChild(t, dir, 5+round%17)
		s := openIn(t, dir)
		got := contents(t, s)
		left, _ := strconv.Atoi(got["left"])
		if left < told || left > told+1 || got["right"] != got["left"] || got[fmt.Sprint("d", left%50)] != got["left"] {
			t.Fatalf("round %d: %d was committed, and there is %v", round, told, got)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killedChild lets a process commit so many times, kills it and returns the last commit that it told of.
func killedChild(t *testing.T, dir string, commits int) int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	buffer := make([]byte, 64)
	for killed := false; ; {
		n, err := out.Read(buffer)
		text.Write(buffer[:n])
		if !killed && strings.Count(text.String(), "\n") >= commits {
			killed = true
			_ = cmd.Process.Kill()
		}
		if err != nil {
			break
		}
	}
	_ = cmd.Wait()
	lines := strings.Split(text.String(), "\n")
	if len(lines) < 2 {
		t.Fatal("the process committed nothing")
	}
	last, err := strconv.Atoi(lines[len(lines)-2])
	if err != nil {
		t.Fatal(err)
	}
	return last
}

// A file that may grow no further is what a full disk is to the program: the write fails and nothing else does.
func TestAFullDiskRefusesCommitsAndLosesNothing(t *testing.T) {
	s := openIn(t, t.TempDir())
	commitAll(t, s, op("a", "before"))
	feed, err := s.Watch(t.Context(), "device")
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	if _, err := feed.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	undo := limitFiles(t, uint64(s.Stats().Bytes))
	defer undo()
	var failure error
	for n := 0; failure == nil && n < 100; n++ {
		_, failure = s.Commit(t.Context(), []store.Op{op(fmt.Sprint("large", n), strings.Repeat("x", store.MaxValueBytes))})
	}
	if devices.KindOf(failure) != devices.Unavailable || s.Healthy() == nil || s.Stats().Failures == 0 {
		t.Fatalf("a commit on a full disk gives %v; healthy is %v", failure, s.Healthy())
	}
	if r, err := s.Get(t.Context(), "device", "a"); err != nil || string(r.Value) != "before" {
		t.Errorf("reads give %v, %v", r, err)
	}
	before := contents(t, s)
	undo()
	at := commitAll(t, s, op("a", "after"))
	if s.Healthy() != nil {
		t.Errorf("with room again the store says %v", s.Healthy())
	}
	before["a"] = "after"
	if got := contents(t, s); !maps.Equal(got, before) {
		t.Error("with room again the contents are others")
	}
	for { // the feed goes on
		u, err := feed.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if u.Revision == at {
			break
		}
	}
}

// limitFiles bounds what this process may write to a file, until undo.
func limitFiles(t *testing.T, bytes uint64) (undo func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ) // else the kernel ends the process rather than fail the write
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
			t.Error(err)
		}
	}
}

func BenchmarkCommit(b *testing.B) {
	s := openIn(b, b.TempDir())
	value := strings.Repeat("v", 300)
	b.ResetTimer()
	for n := range b.N {
		commitAll(b, s, op(fmt.Sprint("d", n%10_000), value))
	}
}

func BenchmarkOpenWith100000Devices(b *testing.B) {
	dir := b.TempDir()
	s := openIn(b, dir)
	value := strings.Repeat("v", 300)
	for n := 0; n < 100_000; {
		var ops []store.Op
		for range store.MaxOps {
			ops = append(ops, op(fmt.Sprintf("device-%06d", n), value))
			n++
		}
		commitAll(b, s, ops...)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for range b.N {
		s := openIn(b, dir)
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
