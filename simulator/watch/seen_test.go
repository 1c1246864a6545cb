package watch

import (
	"fmt"
	"sync"
	"testing"
)

func TestWhatAnotherViewerTookApartSaysTheSame(t *testing.T) {
	s := newSeen(seenViewers)
	var group sync.WaitGroup
	for range 4 { // more messages than slots, so that they take each other's
		group.Go(func() {
			for i := range 2 * seenSlots {
				message := fmt.Appendf(nil, `{"id":"truck-%d","fleet":"north","status":"online","at":%d,"received":7,"metrics":{"seq":1}}`, i, i+1)
				for range 2 {
					u, err := s.scan(message)
					if err != nil || string(u.id) != fmt.Sprintf("truck-%d", i) || u.at != int64(i+1) || u.received != 7 || !u.stamped {
						t.Errorf("%+v, %v of %s", u, err, message)
					}
				}
				clear(message) // the caller's buffer is used again
			}
		})
	}
	group.Wait()
}

func TestAMalformedMessageIsNotRemembered(t *testing.T) {
	s := newSeen(seenViewers)
	for range 2 {
		if u, err := s.scan([]byte(`{"id":"a"}`)); err == nil {
			t.Errorf("%+v", u)
		}
	}
	if newSeen(seenViewers-1) != nil {
		t.Error("few viewers have something to remember")
	}
}

func TestAMessageThatWasSeenAllocatesNothing(t *testing.T) {
	s, message := newSeen(seenViewers), []byte(full)
	n := testing.AllocsPerRun(100, func() {
		if _, err := s.scan(message); err != nil {
			t.Error(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkScanSeen(b *testing.B) {
	s, message := newSeen(seenViewers), []byte(full)
	b.SetBytes(int64(len(message)))
	for b.Loop() {
		if _, err := s.scan(message); err != nil {
			b.Fatal(err)
		}
	}
}
