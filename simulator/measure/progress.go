package measure

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// Progress tells how a run is going: on a terminal one line that is written anew, elsewhere a line now and then. The
// zero value tells nothing. It is for one goroutine.
type Progress struct {
	w      io.Writer
	tty    bool
	length int
}

// NewProgress writes to w; whether that is a terminal is found out. A nil w tells nothing.
func NewProgress(w io.Writer) *Progress {
	p := &Progress{w: w}
	switch w := w.(type) {
	case *os.File:
		p.tty = term.IsTerminal(int(w.Fd()))
	case *Screen:
		p.tty = w.tty
	}
	return p
}

// Every is how often Line should be called.
func (p *Progress) Every() time.Duration {
	if p.tty {
		return time.Second
	}
	return 5 * time.Second
}

// Line shows text in place of the line before.
func (p *Progress) Line(text string) {
	switch {
	case p.w == nil:
	case p.tty:
		fmt.Fprintf(p.w, "\r%s%s", text, strings.Repeat(" ", max(p.length-len(text), 0)))
		p.length = len(text)
	default:
		fmt.Fprintln(p.w, text)
	}
}

// Done ends the line.
func (p *Progress) Done() {
	if p.tty && p.length > 0 {
		fmt.Fprintln(p.w)
		p.length = 0
	}
}
