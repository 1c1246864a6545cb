package prove

import (
	"fmt"
	"maps"
)

// Kind is a way to break a promise.
type Kind string

// The kinds of breaches.
const (
	Lost        Kind = "lost"        // a viewer was never told an acknowledged message, nor a newer one, nor a reset
	Overtaken   Kind = "overtaken"   // a newer state lacks what an earlier message set
	NotKept     Kind = "not_kept"    // an acknowledged message's state, or a newer one, is not there
	Backwards   Kind = "backwards"   // a device stepped back
	Hole        Kind = "hole"        // somebody was told less than what had been shown before it asked
	Unannounced Kind = "unannounced" // a stream went on without a reset where everything was lost
	Declared    Kind = "reset"       // a reset where none may be
	Invented    Kind = "invented"    // a state that no message made
	Malformed   Kind = "malformed"   // bytes that are no asset or no event of the contract
	Leaked      Kind = "leaked"      // a viewer was told a device that it had not asked for
	Unacked     Kind = "unacked"     // messages without a PUBACK long after everything was well
	Unrecovered Kind = "unrecovered" // the installation, or a viewer, was not back in time
)

// maxExamples bounds the breaches of a kind that are told in words; all are counted.
const maxExamples = 4

// breaches counts what was broken.
type breaches struct {
	counts   map[Kind]int64
	examples []string
}

func (b *breaches) add(k Kind, format string, args ...any) {
	if b.counts == nil {
		b.counts = map[Kind]int64{}
	}
	b.counts[k]++
	if b.counts[k] <= maxExamples {
		b.examples = append(b.examples, string(k)+": "+fmt.Sprintf(format, args...))
	}
}

// Breaches returns how often each promise was broken, and some examples in words.
func (l *Ledger) Breaches() (counts map[Kind]int64, examples []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	counts = map[Kind]int64{}
	maps.Copy(counts, l.breaches.counts)
	return counts, append([]string(nil), l.breaches.examples...)
}
