package measure

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// Screen shows a block of lines: on a terminal it is written anew in its place, elsewhere its first line is written now
// and then. A nil writer shows nothing. It is for one goroutine.
type Screen struct {
	w     io.Writer
	tty   bool
	width int
	lines int // that stand there
}

// NewScreen writes to w; whether that is a terminal is found out.
func NewScreen(w io.Writer) *Screen {
	s := &Screen{w: w, width: 120}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		s.tty = true
	}
	return s
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
	if f, ok := s.w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			s.width = width
		}
	}
	var b strings.Builder
	if s.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", s.lines)
	}
	for _, line := range lines {
		b.WriteString("\x1b[2K" + cut(line, s.width-1) + "\n") // a line that wraps would be two
	}
	for range s.lines - len(lines) {
		b.WriteString("\x1b[2K\n")
	}
	s.lines = max(s.lines, len(lines))
	fmt.Fprint(s.w, b.String())
}

// cut shortens a line to so many characters.
func cut(line string, width int) string {
	runes := []rune(line)
	return string(runes[:min(len(runes), max(width, 1))])
}
