package diskbus

import (
	"bytes"
	"errors"
	"os"
	"testing"
)

// FuzzRecovery replays a segment whose frames after the first are what comes. It must end in an error or in a bus that
// can be kept again, in no panic, and in memory for no more than is there. With sealed the bytes are the payload of a
// good frame, so that what lies behind the checksums is reached too.
func FuzzRecovery(f *testing.F) {
	o := Options{Dir: f.TempDir()}
	b := openIn(f, newWorld(), o)
	fill(f, b, 4)
	kill(f, b)
	whole, err := os.ReadFile(segmentPath(o.Dir, 1))
	if err != nil {
		f.Fatal(err)
	}
	frames := newFrameReader(bytes.NewReader(whole), int64(len(whole)))
	if _, err := frames.next(); err != nil {
		f.Fatal(err)
	}
	header, epoch := bytes.Clone(whole[:frames.at]), b.writer.epochs[0]
	f.Add(false, whole[frames.at:])
	f.Add(false, []byte{})
	f.Add(false, make([]byte, 40))
	for payload, err := frames.next(); err == nil; payload, err = frames.next() {
		f.Add(true, bytes.Clone(payload))
	}
	f.Fuzz(func(t *testing.T, sealed bool, tail []byte) {
		if sealed {
			tail = sealFrame(append(openFrame(nil), tail...))
		}
		file := append(bytes.Clone(header), tail...)
		m := newMemory(t)
		m.SetEpoch(0, epoch)
		s := segmentReader{memory: m}
		if err := s.read(newFrameReader(bytes.NewReader(file), int64(len(file)))); err != nil && !errors.Is(err, errTorn) {
			return
		}
		if got, want := contents(throughASnapshot(t, m)), contents(m); got != want {
			t.Errorf("held\n%s\nwas\n%s", got, want)
		}
	})
}

// FuzzSnapshot does the same with a snapshot.
func FuzzSnapshot(f *testing.F) {
	b := openIn(f, newWorld(), Options{Dir: f.TempDir()})
	fill(f, b, 6)
	var whole memoryFile
	if _, err := writeImages(&whole, b.writer.images()); err != nil {
		f.Fatal(err)
	}
	f.Add(whole.Bytes()[frameHeader:])
	f.Fuzz(func(t *testing.T, payload []byte) {
		frame, m := sealFrame(append(openFrame(nil), payload...)), newMemory(t)
		if err := readImages(newFrameReader(bytes.NewReader(frame), int64(len(frame))), m); err != nil {
			return
		}
		if got, want := contents(throughASnapshot(t, m)), contents(m); got != want {
			t.Errorf("held\n%s\nwas\n%s", got, want)
		}
	})
}
