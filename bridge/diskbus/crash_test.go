package diskbus

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// How often the victim is killed: 200 times with FLEETCAST_SOAK=1 go test -run Killed ./bridge/diskbus, or as often as
// FLEETCAST_DISKBUS_KILLS says.
const (
	soakVariable  = "FLEETCAST_SOAK"
	killsVariable = "FLEETCAST_DISKBUS_KILLS"
)

func TestAProcessThatIsKilledAtAnyMomentKeepsItsWord(t *testing.T) {
	kills := 20
	if os.Getenv(soakVariable) != "" {
		kills = 200
	}
	if s := os.Getenv(killsVariable); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		kills = n
	}
	l := newLedger(t.TempDir())
	for run := range kills {
		mode := []Fsync{EverySecond, Always, Never}[run%3]
		if err := l.oneLife(t, run, mode, time.Duration(rand.IntN(60))*time.Millisecond); err != nil {
			t.Fatalf("run %d, fsync %v: %v", run, mode, err)
		}
	}
	if l.acks < kills || l.batches < kills || l.again == 0 {
		t.Errorf("too little happened to tell: %d acks, %d batches, %d entries read again", l.acks, l.batches, l.again)
	}
	t.Logf("%d kills: %d acks, %d batches, %d entries read again", kills, l.acks, l.batches, l.again)
}

// ledger is what the victim's lives have said.
type ledger struct {
	dir   string
	epoch string

	acked    map[string]uint64 // of every door, its last acknowledged number
	content  map[string]string // of an offset
	devices  map[string]string // the content that was shown last
	at       map[string]uint64 // and its offset
	seen     uint64            // the largest offset
	start    uint64            // of the snapshot that this life began with
	consumed map[string]uint64 // of this life's start
	present  map[string]bool   // in this life's first snapshot

	acks, batches, again int
}

func newLedger(dir string) *ledger {
	return &ledger{
		dir: dir, acked: make(map[string]uint64), content: make(map[string]string),
		devices: make(map[string]string), at: make(map[string]uint64),
	}
}

// oneLife starts the victim, lets it live for a while after it has said what it holds, kills it, and checks all it said.
func (l *ledger) oneLife(t *testing.T, run int, mode Fsync, life time.Duration) error {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+l.dir, childRun+"="+strconv.Itoa(run), childFsync+"="+mode.String())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() { _ = cmd.Wait() }() // it was killed: there is always an error
	defer func() { _ = cmd.Process.Kill() }()
	l.consumed, l.present = make(map[string]uint64), make(map[string]bool)
	r := bufio.NewReaderSize(out, 1<<20)
	var timer *time.Timer
	for {
		line, err := r.ReadString('\n')
		if err == io.EOF {
			break // a line without its end was never said
		}
		if err != nil {
			return err
		}
		if err := l.hear(strings.Fields(line)); err != nil {
			return fmt.Errorf("%q: %w", strings.TrimSpace(line), err)
		}
		if line == ".\n" {
			timer = time.AfterFunc(life, func() { _ = cmd.Process.Kill() })
			defer timer.Stop()
		}
	}
	if timer == nil {
		return fmt.Errorf("it ended before it had begun")
	}
	return nil
}

func (l *ledger) hear(f []string) error {
	switch f[0] {
	case "S":
		if l.epoch != "" && f[1] != l.epoch {
			return fmt.Errorf("the epoch was %s", l.epoch)
		}
		l.epoch, l.start = f[1], number(f[2])
		if l.start < l.seen {
			return fmt.Errorf("offset %d was shown", l.seen)
		}
	case "D":
		return l.hearDevice(f[1], number(f[2]), f[3])
	case "R":
		l.consumed[f[1]] = number(f[2])
	case "I":
		l.consumed[f[1]] = number(f[2]) // the victim sees itself that there is no hole
		l.again++
	case ".":
		l.seen = l.start
		for device := range l.devices {
			if !l.present[device] {
				return fmt.Errorf("%s is gone", device)
			}
		}
		for door, n := range l.acked {
			if l.consumed[door] < n {
				return fmt.Errorf("entry %d of %s was acknowledged, and nothing after %d is there", n, door, l.consumed[door])
			}
		}
	case "A":
		l.acked[f[1]] = number(f[2])
		l.acks++
	case "B":
		return l.hearBatch(number(f[1]), f[2:])
	default:
		return fmt.Errorf("it failed")
	}
	return nil
}

// hearDevice compares a device of a snapshot with what was shown before: the same, or newer than all of that.
func (l *ledger) hearDevice(device string, offset uint64, content string) error {
	if at, known := l.at[device]; known && offset <= l.seen && (offset != at || content != l.devices[device]) {
		return fmt.Errorf("offset %d with %s was shown", at, l.devices[device])
	}
	l.present[device] = true
	l.devices[device], l.at[device] = content, offset // it was shown now
	return nil
}

func (l *ledger) hearBatch(offset uint64, changes []string) error {
	l.batches++
	all := strings.Join(changes, " ")
	if before, known := l.content[fmt.Sprint(offset)]; known && before != all {
		return fmt.Errorf("this offset was %q", before)
	}
	if offset != l.seen+1 {
		return fmt.Errorf("offset %d was shown before", l.seen)
	}
	l.content[fmt.Sprint(offset)] = all
	l.seen = offset
	for _, c := range changes {
		device, content, _ := strings.Cut(c, "=")
		l.devices[device], l.at[device] = content, offset
	}
	return nil
}

func number(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		panic(err) // the victim prints numbers only
	}
	return n
}
