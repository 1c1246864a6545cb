package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestProcessorTimeOfAnotherProcessIsRead(t *testing.T) {
	before, err := cpuSeconds(os.Getpid())
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("another system")
	}
	if err != nil || before <= 0 {
		t.Fatalf("of this process: %v, %v", before, err)
	}
	for range 100_000_000 { // whatever it takes: the clock moves with it
		if after, err := cpuSeconds(os.Getpid()); err != nil || after > before {
			break
		}
	}
	if _, err := cpuSeconds(math.MaxInt32 / 8); err == nil {
		t.Error("a process that is not has a time")
	}
}

func TestResidentSizeIsRead(t *testing.T) {
	const text = "Name:\tgateway\nVmHWM:\t  900 kB\nVmRSS:\t   12345 kB\nRssAnon:\t 1 kB\n"
	for member, want := range map[string]int64{"VmRSS:": 12345 << 10, "VmHWM:": 900 << 10} {
		if got, err := parseStatus([]byte(text), member); err != nil || got != want {
			t.Errorf("%s %d, %v", member, got, err)
		}
	}
	for _, bad := range []string{"", "Name:\tx\n", "VmRSS:\tmuch\n"} {
		if got, err := parseStatus([]byte(bad), "VmRSS:"); err == nil {
			t.Errorf("%q is %d", bad, got)
		}
	}
	if got, err := residentBytes(os.Getpid()); err != nil || got < 1<<20 {
		t.Errorf("of this process: %d, %v", got, err)
	}
	if err := resetPeak(os.Getpid()); err != nil {
		t.Error(err)
	}
	if got, err := peakBytes(os.Getpid()); err != nil || got < 1<<20 {
		t.Errorf("peak of this process: %d, %v", got, err)
	}
}

func sampleSection() *Section {
	s := &Section{Name: "fanout", Title: "Fan-out", Host: Host{When: time.Unix(0, 0).UTC(), Go: "go1", OS: "linux/amd64", Cores: 2, Window: "100ms", Args: []string{"--x"}}}
	s.say("Generator: %d %%.", 3)
	t := Table{Title: "A title", Head: []string{"", "gateway"}}
	t.add("cores", "1")
	s.Tables = []Table{t}
	s.Plots = []Plot{{File: "a.svg", Title: "A & B", X: "x", Y: "y", LogX: true, LogY: true, Series: []Series{{Name: "one", Points: [][2]float64{{1, 1}, {10, 100}, {100, 0}}}}}}
	s.note("broken: %s", "it")
	s.mark("what", "≤ 1", No, "%d", 2)
	return s
}

func TestASectionIsMarkdownWithTheGeneratorFirst(t *testing.T) {
	var b bytes.Buffer
	if err := sampleSection().WriteText(&b); err != nil {
		t.Fatal(err)
	}
	at := 0
	for _, want := range []string{
		"# Fan-out\n", "1970-01-01T00:00:00Z, go1, linux/amd64, 2 cores, which", "flags of the gateway: `--x`.\n", "\nGenerator: 3 %.\n",
		"\nA title\n\n|  | gateway |\n|---|---:|\n| cores | 1 |\n", "![A & B](a.svg)", "**Note:** broken: it",
	} {
		next := strings.Index(b.String()[at:], want)
		if next < 0 {
			t.Fatalf("no %q after character %d of\n%s", want, at, b.String())
		}
		at += next
	}
}

func TestTheReportIsMadeOfWhatWasSaved(t *testing.T) {
	dir := t.TempDir()
	if err := sampleSection().save(dir); err != nil {
		t.Fatal(err)
	}
	r, err := Load(dir)
	if err != nil || len(r.Sections) != 1 {
		t.Fatalf("%v, %+v", err, r)
	}
	if err := r.Save(dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "report.md"))
	if err != nil || !strings.Contains(string(text), "| what | ≤ 1 | 2 | no |\n") || !strings.Contains(string(text), "\n## Fan-out\n") {
		t.Errorf("%v: %s", err, text)
	}
	if text, err = os.ReadFile(filepath.Join(dir, "a.svg")); err != nil || !strings.HasPrefix(string(text), "<svg ") {
		t.Errorf("%v: %s", err, text)
	}
	published := filepath.Join(dir, "docs")
	if err := r.Publish(published); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"report.md", "a.svg"} {
		if _, err := os.Stat(filepath.Join(published, name)); err != nil {
			t.Error(err)
		}
	}
	var back Report
	if text, err = os.ReadFile(filepath.Join(dir, "report.json")); err != nil || json.Unmarshal(text, &back) != nil || back.Sections[0].Marks[0].Met != No {
		t.Errorf("%v: %s", err, text)
	}
	if err := os.WriteFile(filepath.Join(dir, "slow.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil {
		t.Error("half a result was read")
	}
}

// fakeBench is a bench that finds what it is told.
type fakeBench struct {
	name    string
	section *Section
	err     error
	shrunk  bool
}

func (f *fakeBench) Name() string                                { return f.name }
func (f *fakeBench) shrink()                                     { f.shrunk = true }
func (f *fakeBench) run(context.Context, *lab) (*Section, error) { return f.section, f.err }

func someProgram(t *testing.T, name string) string {
	t.Helper()
	program, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("there is no program named %s", name)
	}
	return program
}

func TestABenchThatFailsIsToldAndTheOthersRun(t *testing.T) {
	boom := errors.New("boom")
	bad, good := &fakeBench{name: "fanout", err: boom}, &fakeBench{name: "path", section: sampleSection()}
	dir := t.TempDir()
	r, err := Run(t.Context(), Options{Gateway: someProgram(t, "false"), Out: dir, Small: true}, bad, good)
	if !errors.Is(err, boom) || len(r.Sections) != 2 || len(r.Sections[0].Notes) != 1 || r.Sections[1].Name != "path" || !bad.shrunk {
		t.Errorf("%v, %+v", err, r)
	}
	if _, err := os.Stat(filepath.Join(dir, "path.json")); err != nil {
		t.Error(err)
	}
}

func TestAnEndedRunLeavesWhatItHad(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, err := Run(ctx, Options{Gateway: someProgram(t, "false"), Out: t.TempDir(), Small: true}, &fakeBench{name: "fanout"})
	if !errors.Is(err, context.Canceled) || len(r.Sections) != 0 {
		t.Errorf("%v, %+v", err, r)
	}
}

func TestAProgramThatEndsIsNotWaitedFor(t *testing.T) {
	o := Options{Gateway: someProgram(t, "false"), Small: true, Out: t.TempDir()}
	all := []Bench{&Fanout{}, &Ingest{}, &Path{}, &Memory{}, &Gzip{}, &Storm{}, &Slow{}, &Filters{}, &Growth{}, &Logins{}, &Compare{}}
	if find("redis-server") != "" {
		all = append(all, &Cluster{})
	}
	for _, b := range all {
		if _, err := Run(t.Context(), o, b); !errors.Is(err, errEnded) {
			t.Errorf("%s: error %v", b.Name(), err)
		}
	}
	o.Gateway = filepath.Join(o.Out, "nothing")
	if _, err := Run(t.Context(), o, &Fanout{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	if _, err := Run(t.Context(), Options{Gateway: someProgram(t, "false"), Out: o.Out, Measure: time.Millisecond}, &Fanout{}); !errors.Is(err, errTooShort) {
		t.Errorf("error %v", err)
	}
}

func TestEveryBenchHasItsPlaceInTheReport(t *testing.T) {
	all := []Bench{&Fanout{}, &Ingest{}, &Path{}, &Memory{}, &Gzip{}, &Filters{}, &Storm{}, &Slow{}, &Growth{}, &Logins{}, &Cluster{}}
	for i, b := range all {
		if b.Name() != names[i] {
			t.Errorf("%s is at the place of %s", b.Name(), names[i])
		}
	}
}

func TestAServerDiesWithTheBench(t *testing.T) {
	l := &lab{Options: Options{Out: t.TempDir()}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c, err := l.startChild(ctx, "sleeper", someProgram(t, "sleep"), "1000")
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	<-c.done
	c.stop() // once more is no harm
	if _, err := l.startChild(t.Context(), "nothing", filepath.Join(l.Out, "nothing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}
