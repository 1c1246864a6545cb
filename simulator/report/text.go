package report

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// WriteText writes the report for people: the generator's health first, then the thresholds, then the groups.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	r.Health.AppendText(&b)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-13s "+format+"\n", append([]any{name}, args...)...)
	}
	row("run", "%s, %.1f s, on %d cores of %s/%s", r.Name, r.Seconds, r.Host.Cores, r.Host.OS, r.Host.Arch)
	switch {
	case r.Merged != nil:
		r.Merged.appendText(&b)
	case r.Run != nil && r.Run.Shard.Of > 1:
		row("shard", "%s of a run: merge the reports of all with report merge", shardName(r.Run.Shard))
	}
	for _, n := range r.Notes {
		row("  note", "%s", n)
	}
	for _, o := range r.Thresholds {
		row("threshold", "%s", o.text())
	}
	for _, l := range latencies {
		if p := r.Latencies[l.name]; p.Count > 0 {
			row(l.name, "%s", p.Text())
		}
	}
	if a := r.Audit; a != nil {
		row("audit", "%d devices had a message acknowledged, %d are as new as it after %.1f s, %d are not", a.Owed, a.Kept, a.Seconds, a.Missing)
		for _, e := range a.Of {
			row("  example", "%s", e)
		}
	}
	for _, e := range r.Events {
		row("event", "%6.1f s  %s", e.At, e.Name)
	}
	if err := r.groups(&b); err != nil {
		return err
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func (r *Report) groups(b *strings.Builder) error {
	for i := range r.Devices {
		fmt.Fprintf(b, "\n-- devices %s\n", r.Devices[i].Name)
		if err := r.Devices[i].WriteText(b); err != nil {
			return err
		}
	}
	for i := range r.Viewers {
		fmt.Fprintf(b, "\n-- viewers %s\n", r.Viewers[i].Name)
		if err := r.Viewers[i].WriteText(b); err != nil {
			return err
		}
	}
	for i := range r.Proxies {
		p := &r.Proxies[i]
		fmt.Fprintf(b, "\nproxy %-13s accepted %d, refused %d, cut %d; %d bytes up, %d down\n", p.Name, p.Accepted, p.Refused, p.Cut, p.Up, p.Down)
	}
	if r.Ledger != nil {
		fmt.Fprint(b, "\n-- ledger of losses\n")
		return r.Ledger.WriteText(b)
	}
	return nil
}

func (o *Outcome) text() string {
	switch {
	case o.Value == nil:
		return o.Threshold + "  NOT KEPT: nothing of it was measured"
	case o.Kept:
		return fmt.Sprintf("%s  kept: %.6g", o.Threshold, *o.Value)
	}
	return fmt.Sprintf("%s  NOT KEPT: %.6g", o.Threshold, *o.Value)
}

// WriteJSON writes the report for programs; Read reads it.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// maxReport bounds a report that is read.
const maxReport = 256 << 20

// Read reads a report from a file.
func Read(file string) (*Report, error) {
	f, err := os.Open(file) //nolint:gosec // the file that it is given
	if err != nil {
		return nil, fmt.Errorf("read report: %w", err)
	}
	defer f.Close()
	var r Report
	if err := json.NewDecoder(io.LimitReader(f, maxReport)).Decode(&r); err != nil {
		return nil, fmt.Errorf("read report %s: %w", file, err)
	}
	if r.Version != Version || len(r.Values) == 0 {
		return nil, fmt.Errorf("read report %s: it is none of this program's, version %d", file, Version)
	}
	return &r, nil
}

// WriteHGRM writes a percentile file for each histogram of the report into a directory.
func (r *Report) WriteHGRM(dir string) error {
	all, err := r.histograms()
	if err != nil {
		return fmt.Errorf("write percentiles: %w", err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("write percentiles: %w", err)
	}
	for name, h := range all {
		if err := toFile(filepath.Join(dir, name+".hgrm"), h.WriteHGRM); err != nil {
			return err
		}
	}
	return nil
}

// toFile writes a file by one of the writers above.
func toFile(name string, write func(io.Writer) error) error {
	f, err := os.Create(name) //nolint:gosec // the file that it is given
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := write(f); err != nil {
		_ = f.Close() // what failed says more
		return err
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// Files are where a report is written; "" is nowhere.
type Files struct {
	Text, JSON, HTML, HGRM, Prometheus string
}

// Write writes the files.
func (f *Files) Write(r *Report) error {
	for _, out := range []struct {
		name  string
		write func(io.Writer) error
	}{{f.Text, r.WriteText}, {f.JSON, r.WriteJSON}, {f.HTML, r.WriteHTML}, {f.Prometheus, r.WritePrometheus}} {
		if out.name == "" {
			continue
		}
		if err := toFile(out.name, out.write); err != nil {
			return err
		}
	}
	if f.HGRM != "" {
		return r.WriteHGRM(f.HGRM)
	}
	return nil
}
