package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/simulator/child"
	"github.com/fleetcast/fleetcast/simulator/measure"
)

// Options are what all benches share.
type Options struct {
	Gateway    string        `help:"The gateway's program." default:"bin/gateway"`
	GatewayArg []string      `help:"A flag for the gateway, repeatable: --gateway-arg=--fsync=always." sep:"none"`
	Window     time.Duration `help:"The flush window of the gateway, which the floor takes." default:"100ms"`
	Warm       time.Duration `help:"Wait before each measurement." default:"5s"`
	Measure    time.Duration `help:"Length of each measurement." default:"15s"`
	Settle     time.Duration `help:"Wait before a size of memory is read, at the least; 150s is beyond Go's forced collection." default:"20s"`
	Out        string        `help:"Directory of the results." default:"bench-out"`
	Small      bool          `help:"Small sizes and short times: ratios within a minute, to see that all of it runs."`

	Simulator string    `kong:"-"` // this program, which serves the floors; "" finds it
	Progress  io.Writer `kong:"-"`
}

// Bench is one question. Its exported fields are its options, with their defaults in tags for the command line.
type Bench interface {
	// Name names the files of the results.
	Name() string
	// shrink makes sizes and times small.
	shrink()
	// run measures. What it found so far is returned with an error too, where it is worth telling.
	run(ctx context.Context, l *lab) (*Section, error)
}

// What --small makes of the times.
const (
	smallWarm    = time.Second
	smallMeasure = 2 * time.Second
	smallSettle  = time.Second
)

var errTooShort = errors.New("a measurement of less than a second is none")

// Run runs the benches one after the other and writes what each found to the directory of results, with what the programs
// said. One that fails is told in the report and in the error; the others run.
func Run(ctx context.Context, o Options, benches ...Bench) (*Report, error) {
	l, err := newLab(o)
	if err != nil {
		return nil, err
	}
	defer l.close()
	r := &Report{}
	var failed []error
	for _, b := range benches {
		if o.Small {
			b.shrink()
		}
		l.say("== %s", b.Name())
		began := time.Now()
		s, err := b.run(ctx, l)
		if ctx.Err() != nil {
			return r, fmt.Errorf("run bench: %w", ctx.Err())
		}
		if err != nil {
			err = fmt.Errorf("run bench %s: %w", b.Name(), err)
			failed = append(failed, err)
		}
		if s == nil {
			s = &Section{}
		}
		s.Name, s.Host, s.Seconds = b.Name(), l.host(), time.Since(began).Seconds()
		for i := range s.Marks {
			if o.Small { // the marks are of other sizes
				s.Marks[i].Met = None
			}
		}
		if err != nil {
			s.Notes = append(s.Notes, "The bench failed: "+err.Error())
		}
		r.Sections = append(r.Sections, s)
		failed = append(failed, s.save(o.Out))
	}
	return r, errors.Join(failed...)
}

// lab is where benches run: the programs, and a directory for what servers keep and nobody needs.
type lab struct {
	Options
	dir       string
	temporary *child.Dir // which dir is
	servers   int        // started so far, for their names
}

func newLab(o Options) (*lab, error) {
	if o.Small {
		o.Warm, o.Measure, o.Settle = smallWarm, smallMeasure, smallSettle
	}
	if o.Measure < time.Second {
		return nil, fmt.Errorf("read options: %w: %v", errTooShort, o.Measure)
	}
	if o.Simulator == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find the simulator: %w", err)
		}
		o.Simulator = self
	}
	if _, err := os.Stat(o.Gateway); err != nil {
		return nil, fmt.Errorf("find the gateway: %w", err)
	}
	if err := os.MkdirAll(o.Out, 0o750); err != nil {
		return nil, fmt.Errorf("make the directory of results: %w", err)
	}
	dir, err := child.TempDir("bench")
	if err != nil {
		return nil, err
	}
	return &lab{Options: o, dir: dir.Path(), temporary: dir}, nil
}

func (l *lab) close() { _ = l.temporary.Remove() } // nobody needs it, and the next simulator removes it

func (l *lab) say(format string, args ...any) {
	if l.Progress != nil {
		fmt.Fprintf(l.Progress, time.Now().Format(time.TimeOnly)+" "+format+"\n", args...)
	}
}

// debianSbin is where Debian keeps servers and only root looks.
const debianSbin = "/usr/sbin"

// find returns the path of another project's program, or "".
func find(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	path := filepath.Join(debianSbin, name)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	return ""
}

// Host is where a bench ran.
type Host struct {
	When   time.Time `json:"when"`
	Go     string    `json:"go"`
	OS     string    `json:"os"`
	Cores  int       `json:"cores"`
	CPU    string    `json:"cpu,omitempty"`
	Args   []string  `json:"gateway_args,omitempty"`
	Window string    `json:"window"`
	Small  bool      `json:"small,omitempty"`
}

func (l *lab) host() Host {
	h := Host{
		When: time.Now().UTC().Truncate(time.Second), Go: runtime.Version(), OS: runtime.GOOS + "/" + runtime.GOARCH,
		Cores: runtime.NumCPU(), Args: l.GatewayArg, Window: l.Window.String(), Small: l.Small,
	}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				h.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	return h
}

// Text is the host in a line.
func (h *Host) Text() string {
	text := fmt.Sprintf("%s, %s, %s, %d cores", h.When.Format(time.RFC3339), h.Go, h.OS, h.Cores)
	if h.CPU != "" {
		text += " (" + h.CPU + ")"
	}
	text += ", which the generator of the load shares; window " + h.Window
	if len(h.Args) > 0 {
		text += "; flags of the gateway: `" + strings.Join(h.Args, " ") + "`"
	}
	if h.Small {
		text += "; small sizes and short times, which say that it runs and little more"
	}
	return text
}

// Sample is what a server used in a measurement, and how the generator did meanwhile.
type Sample struct {
	Seconds   float64            `json:"seconds"`
	Cores     float64            `json:"cores"`
	Error     float64            `json:"cores_error"` // twice the standard error of what the slices of the time used
	Parts     map[string]float64 `json:"cores_of_parts,omitempty"`
	Resident  int64              `json:"resident_bytes"` // at the end
	Generator measure.Health     `json:"generator"`
}

// measure looks at a server for a time.
func (l *lab) measure(ctx context.Context, s *server, over time.Duration) (Sample, error) {
	probe, err := measure.NewProbe()
	if err != nil {
		return Sample{}, err
	}
	watching := runInBackground(ctx, func(ctx context.Context) error { probe.Run(ctx); return nil })
	m, err := s.usage(ctx, over)
	if err = errors.Join(err, watching.stop()); err != nil {
		return m, err
	}
	m.Generator, err = probe.Health()
	return m, err
}

// sliceCount is the number of parts of a measurement: how they differ is what is known of the error.
const sliceCount = 5

// usage is what the server's processes use over a time.
func (s *server) usage(ctx context.Context, over time.Duration) (Sample, error) {
	first, err := s.cpu()
	if err != nil {
		return Sample{}, err
	}
	begin := time.Now()
	last, at := first, begin
	var slices []float64
	for range sliceCount {
		if err := pause(ctx, over/sliceCount); err != nil {
			return Sample{}, err
		}
		next, err := s.cpu()
		if err != nil {
			return Sample{}, err
		}
		slices = append(slices, (sum(next)-sum(last))/since(at))
		last, at = next, time.Now()
	}
	m := Sample{Seconds: since(begin), Error: 2 * standardError(slices)}
	m.Cores = (sum(last) - sum(first)) / m.Seconds
	if len(s.parts) > 1 {
		m.Parts = map[string]float64{}
		for i, c := range s.parts {
			m.Parts[c.role] = (last[i] - first[i]) / m.Seconds
		}
	}
	m.Resident, err = s.resident()
	return m, err
}

// settled reads the resident size when it has not moved by a hundredth for three seconds, after the least time. Go
// collects when the heap has doubled or after two minutes, so the size holds garbage unless that time is longer.
func (l *lab) settled(ctx context.Context, s *server, least time.Duration) (int64, error) {
	if err := pause(ctx, least); err != nil {
		return 0, err
	}
	const steady, most = 3, 30
	last, same := int64(0), 0
	for range most {
		now, err := s.resident()
		if err != nil {
			return 0, err
		}
		if same++; now-last > last/100 || last-now > last/100 {
			same = 0
		}
		if last = now; same >= steady {
			break
		}
		if err := pause(ctx, time.Second); err != nil {
			return 0, err
		}
	}
	return last, nil
}

// healthText tells how the generator did.
func healthText(with string, h *measure.Health) string {
	text := []string{fmt.Sprintf("Generator %s: %.0f %% of its cores, wake-ups %.1f ms late at p99.", with, h.Share*100, h.WakeUp.P99)}
	for _, note := range h.Notes {
		text = append(text, strings.ToUpper(note[:1])+note[1:]+".")
	}
	return strings.Join(text, " ")
}

func sum(values []float64) float64 {
	total := 0.0
	for _, v := range values {
		total += v
	}
	return total
}

func now() time.Time { return time.Now() }

// since is in seconds.
func since(start time.Time) float64 { return time.Since(start).Seconds() }
