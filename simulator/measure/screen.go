package measure

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// Screen shows a block of lines: on a terminal it is written anew in its place, elsewhere its first line is written now
// and then. A nil writer shows nothing. Its methods may be called from any goroutine.
type Screen struct {
	w     io.Writer
	tty   bool
	mu    sync.Mutex // guards what follows, and what stands on the terminal
	width int
	lines int // that stand there
}

// NewScreen writes to w; whether that is a terminal is found out. A w that is a screen is that screen.
func NewScreen(w io.Writer) *Screen {
	if s, ok := w.(*Screen); ok {
		return s
	}
	s := &Screen{w: w, width: 120}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		s.tty = true
	}
	return s
}

// Write writes what is no block, as a line of the log: it stands above the block, which is shown again below it.
func (s *Screen) Write(p []byte) (int, error) {
	if s.w == nil {
		return len(p), nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lines > 0 {
		fmt.Fprintf(s.w, "\x1b[%dA\x1b[J", s.lines)
		s.lines = 0
	}
	n, err := s.w.Write(p)
	if err != nil {
		return n, fmt.Errorf("write to terminal: %w", err)
	}
	return n, nil
}

// Every is how often Show should be called.
func (s *Screen) Every() time.Duration {
	if s.tty {
		return time.Second
	}
	return 5 * time.Second
}

// Show takes the place of what was shown before.
func (s *Screen) Show(lines []string) {
	switch {
	case s.w == nil || len(lines) == 0:
		return
	case !s.tty:
		fmt.Fprintln(s.w, lines[0])
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, ok := s.w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			s.width = width
		}
	}
	var b strings.Builder
	if s.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", s.lines)
	}
	var folded []string
	for _, line := range lines {
		folded = append(folded, fold(line, s.width-1)...)
	}
	for _, line := range folded {
		b.WriteString("\x1b[2K" + cut(line, s.width-1) + "\n") // a line that wraps would be two
	}
	for range s.lines - len(folded) {
		b.WriteString("\x1b[2K\n")
	}
	s.lines = max(s.lines, len(folded))
	fmt.Fprint(s.w, b.String())
}

// fold breaks a line that is too long between its fields, which two spaces part.
func fold(line string, width int) (lines []string) {
	for utf8.RuneCountInString(line) > width {
		at := strings.LastIndex(string([]rune(line)[:width]), "  ")
		if strings.TrimSpace(line[:max(at, 0)]) == "" {
			break // one field is longer than a line
		}
		lines, line = append(lines, line[:at]), foldIndent+strings.TrimLeft(line[at:], " ")
	}
	return append(lines, line)
}

// foldIndent stands before what is left of a folded line.
const foldIndent = "        "

// cut shortens a line to so many characters.
func cut(line string, width int) string {
	runes := []rune(line)
	return string(runes[:min(len(runes), max(width, 1))])
}
