package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Section is what a bench found: a part of the report, and everything that its JSON holds.
type Section struct {
	Name    string  `json:"name"`
	Title   string  `json:"title"`
	Host    Host    `json:"host"`
	Seconds float64 `json:"seconds"` // that the bench took
	// Words say what was done, and how the generator did, before the tables.
	Words  []string `json:"words"`
	Tables []Table  `json:"tables"`
	Plots  []Plot   `json:"plots,omitempty"`
	// Notes say what was broken, and which numbers are no results.
	Notes []string `json:"notes,omitempty"`
	Marks []Mark   `json:"marks,omitempty"`
	// Result is the numbers with their names and units.
	Result any `json:"result"`
}

// Table is rows under a head. The first column names the row.
type Table struct {
	Title string     `json:"title,omitempty"`
	Head  []string   `json:"head"`
	Rows  [][]string `json:"rows"`
}

// add adds a row.
func (t *Table) add(cells ...string) { t.Rows = append(t.Rows, cells) }

// Mark is a reach of the project and what was measured of it.
type Mark struct {
	What string `json:"what"`
	Want string `json:"want"`
	Got  string `json:"got"`
	Met  Met    `json:"met"`
}

// Met says whether a mark was met.
type Met string

// What may be said of a mark.
const (
	Yes     Met = "yes"
	No      Met = "no"
	Unknown Met = "no result"
	None    Met = "" // nothing was to be reached
)

// reported is what is to be reached where the number is asked for and no bound is set.
const reported = "reported"

// met judges a mark that is a bound.
func met(holds bool) Met {
	if holds {
		return Yes
	}
	return No
}

func (s *Section) say(format string, args ...any) {
	s.Words = append(s.Words, fmt.Sprintf(format, args...))
}

func (s *Section) note(format string, args ...any) {
	s.Notes = append(s.Notes, fmt.Sprintf(format, args...))
}

func (s *Section) mark(what, want string, met Met, format string, args ...any) {
	s.Marks = append(s.Marks, Mark{What: what, Want: want, Met: met, Got: fmt.Sprintf(format, args...)})
}

// WriteText writes the section as Markdown, under a heading of the first level.
func (s *Section) WriteText(w io.Writer) error {
	var b strings.Builder
	s.markdown(&b, "#")
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}

func (s *Section) markdown(b *strings.Builder, heading string) {
	title := s.Title
	if title == "" {
		title = s.Name
	}
	fmt.Fprintf(b, "%s %s\n\n%s.\n", heading, title, s.Host.Text())
	for _, text := range s.Words {
		fmt.Fprintf(b, "\n%s\n", text)
	}
	for i := range s.Tables {
		s.Tables[i].markdown(b)
	}
	for i := range s.Plots {
		fmt.Fprintf(b, "\n![%s](%s)\n", s.Plots[i].Title, s.Plots[i].File)
	}
	for _, note := range s.Notes {
		fmt.Fprintf(b, "\n**Note:** %s\n", note)
	}
}

func (t *Table) markdown(b *strings.Builder) {
	b.WriteByte('\n')
	if t.Title != "" {
		fmt.Fprintf(b, "%s\n\n", t.Title)
	}
	fmt.Fprintf(b, "| %s |\n|---|%s\n", strings.Join(t.Head, " | "), strings.Repeat("---:|", len(t.Head)-1))
	for _, row := range t.Rows {
		fmt.Fprintf(b, "| %s |\n", strings.Join(row, " | "))
	}
}

// save writes the section as name.json and name.md, and its plots.
func (s *Section) save(dir string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("save result: %w", err)
	}
	var b strings.Builder
	s.markdown(&b, "#")
	files := map[string]string{s.Name + ".json": string(text) + "\n", s.Name + ".md": b.String()}
	for i := range s.Plots {
		files[s.Plots[i].File] = s.Plots[i].SVG()
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("save result: %w", err)
		}
	}
	return nil
}

// Report is the sections of a run.
type Report struct {
	Sections []*Section `json:"sections"`
}

// names are the benches in the order of the report.
var names = []string{"fanout", "ingest", "path", "memory", "gzip", "filters", "storm", "slow", "growth", "logins", "cluster", "compare"}

// Load reads the sections that were saved in a directory. What is not there is left out.
func Load(dir string) (*Report, error) {
	r := &Report{}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(dir, name+".json")) //nolint:gosec // the directory is the caller's, the name one of ours
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read result: %w", err)
		}
		s := &Section{}
		if err := json.Unmarshal(text, s); err != nil {
			return nil, fmt.Errorf("read result %s: %w", name, err)
		}
		r.Sections = append(r.Sections, s)
	}
	return r, nil
}

// WriteText writes the report as Markdown, what there is to reach first.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# What it costs\n\nWritten by `make bench`. Ratios carry over to other machines, absolute numbers do not.\n")
	marks := Table{Head: []string{"what", "to reach", "measured", "met"}}
	for _, s := range r.Sections {
		for _, m := range s.Marks {
			marks.add(m.What, m.Want, m.Got, string(m.Met))
		}
	}
	if len(marks.Rows) > 0 {
		marks.markdown(&b)
	}
	for _, s := range r.Sections {
		b.WriteByte('\n')
		s.markdown(&b, "##")
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// Save writes report.md and report.json.
func (r *Report) Save(dir string) error {
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("save report: %w", err)
	}
	for name, text := range map[string]string{"report.md": b.String(), "report.json": string(text) + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("save report: %w", err)
		}
	}
	return nil
}

// Publish writes report.md and the plots, for people who read the project's documents.
func (r *Report) Publish(dir string) error {
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		return err
	}
	files := map[string]string{"report.md": b.String()}
	for _, s := range r.Sections {
		for i := range s.Plots {
			files[s.Plots[i].File] = s.Plots[i].SVG()
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // documents are for everybody
		return fmt.Errorf("publish report: %w", err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), []byte(text), 0o644); err != nil { //nolint:gosec // as above
			return fmt.Errorf("publish report: %w", err)
		}
	}
	return nil
}
