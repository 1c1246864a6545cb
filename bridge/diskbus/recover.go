package diskbus

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// recovered is what a directory held.
type recovered struct {
	memory     *bus.Memory
	lastNumber uint64
	lastSize   int64 // of the last segment, without what was cut
	logBytes   int64
	stateSize  int64
	segments   int
	broken     bool // a segment before the last was cut: a snapshot must come before anything is taken
}

// damaged names the file and says what to do: nothing is thrown away without a person.
func damaged(path string, at int64, err error) error {
	return fmt.Errorf("%w: %s, at byte %d: %w; restore the whole data directory from a backup, or move it away to begin with an empty one",
		ErrDamaged, path, at, err)
}

// readDirectory reads the newest snapshot and the segments after it, and decides whether the history goes on.
func readDirectory(o *Options, env environment, b *Bus) (*recovered, error) {
	files, err := list(o.Dir)
	if err != nil {
		return nil, err
	}
	for _, name := range files.temporary { // what was never finished
		if err := os.Remove(name); err != nil {
			return nil, err
		}
	}
	first := uint64(1)
	if n := len(files.states); n > 0 {
		first = files.states[n-1]
	}
	segments := slices.DeleteFunc(files.segments, func(n uint64) bool { return n < first })
	if len(segments) == 0 {
		if len(files.states)+len(files.segments) > 0 {
			return nil, damaged(segmentPath(o.Dir, first), 0, os.ErrNotExist)
		}
		return emptyDirectory(o, b)
	}
	headers, err := readHeaders(o.Dir, first, segments)
	if err != nil {
		return nil, err
	}
	r, err := newRecovered(o, b, headers)
	if err != nil {
		return nil, err
	}
	if len(files.states) > 0 {
		if r.stateSize, err = readSnapshot(statePath(o.Dir, first), r.memory); err != nil {
			return nil, err
		}
	}
	return r, r.replay(o, env, headers)
}

func emptyDirectory(o *Options, b *Bus) (*recovered, error) {
	m, err := bus.NewLogged(o.Memory, journal{b})
	return &recovered{memory: m}, err
}

func newRecovered(o *Options, b *Bus, headers []header) (*recovered, error) {
	bounds := o.Memory
	has := len(headers[0].epochs)
	if bounds.Partitions != 0 && bounds.Partitions != has {
		return nil, devices.Errorf(devices.Invalid, "partitions", "are %d in the data directory and cannot be changed", has)
	}
	bounds.Partitions = has
	m, err := bus.NewLogged(bounds, journal{b})
	last := headers[len(headers)-1]
	return &recovered{memory: m, lastNumber: last.number, segments: len(headers)}, err
}

// readHeaders reads the first frame of every segment and sees that none is missing.
func readHeaders(dir string, first uint64, segments []uint64) ([]header, error) {
	var out []header
	for i, n := range segments {
		path := segmentPath(dir, first+uint64(i))
		if n != first+uint64(i) {
			return nil, damaged(path, 0, os.ErrNotExist)
		}
		h, err := readHeader(path)
		if err != nil {
			return nil, err
		}
		if h.number != n || len(out) > 0 && len(h.epochs) != len(out[0].epochs) {
			return nil, damaged(path, 0, errMalformed)
		}
		out = append(out, h)
	}
	return out, nil
}

func readHeader(path string) (header, error) {
	var h header
	f, size, err := openToRead(path)
	if err != nil {
		return h, err
	}
	defer f.Close()
	payload, err := newFrameReader(f, size).next()
	if err == nil {
		h, err = decodeHeader(payload)
	}
	if err != nil {
		return h, damaged(path, 0, err)
	}
	return h, nil
}

func openToRead(path string) (*os.File, int64, error) {
	f, err := os.Open(path) //nolint:gosec // below the operator's directory
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// replay reads the segments in order. All but the last count as far as the one after it says.
func (r *recovered) replay(o *Options, env environment, headers []header) error {
	boot := env.bootID()
	for i := range headers {
		h := &headers[i]
		for p, epoch := range h.epochs {
			r.memory.SetEpoch(p, epoch)
		}
		path := segmentPath(o.Dir, h.number)
		s := segmentReader{path: path, memory: r.memory, lostPower: boot == "" || h.boot != boot, synced: h.fsync == Always}
		if i+1 < len(headers) {
			next := &headers[i+1]
			err := s.readTo(next.before)
			r.logBytes += s.at
			if err != nil && s.lostPower && !next.settled {
				return r.breakOff(o, path, err, headers)
			}
			if err != nil {
				return err
			}
			continue
		}
		if err := s.readLast(); err != nil {
			return err
		}
		r.lastSize = s.at
		r.logBytes += s.at
		return r.goOn(o, h, &s)
	}
	return nil
}

// breakOff ends the log in a segment before the last: the machine stopped while that one had not been synced yet and the
// next was written already, of which nothing can be used. The numbers go on after the last.
func (r *recovered) breakOff(o *Options, path string, why error, headers []header) error {
	r.broken = true
	o.Logger.Error("the log was not whole when the machine stopped: what came after is lost", "file", path, "error", why)
	info, err := os.Stat(segmentPath(o.Dir, headers[len(headers)-1].number))
	if err != nil {
		return err
	}
	r.lastSize = info.Size()
	r.newEpochs(o, "the machine stopped without a close, and the log was not synced always")
	return nil
}

// goOn decides by the last segment whether the history goes on. Those before it may be of another boot, or copied: what
// follows from that was decided when the one after them began.
func (r *recovered) goOn(o *Options, last *header, s *segmentReader) error {
	if s.cut > 0 {
		o.Logger.Warn("the log ends in a frame that is not whole: it is cut", "file", s.path, "bytes", s.cut)
	}
	id, err := identify(s.path)
	switch {
	case err != nil:
		return err
	case !last.identity.same(id, !s.lostPower):
		r.newEpochs(o, "the data directory is a copy")
	case s.lostPower && !s.clean && !s.synced:
		r.newEpochs(o, "the machine stopped without a close, and the log was not synced always")
	}
	return nil
}

// newEpochs begins new histories: what was shown before may be other than what is held now.
func (r *recovered) newEpochs(o *Options, why string) {
	o.Logger.Warn("a new epoch begins: viewers that come back get a reset", "reason", why)
	for i := range r.memory.Partitions() {
		r.memory.SetEpoch(i, bus.NewEpoch())
	}
}

// segmentReader replays one segment.
type segmentReader struct {
	path   string
	memory *bus.Memory
	// of the last one
	lostPower bool // the machine was started since it was written
	synced    bool // every frame was synced before the next was written

	at    int64 // the end of what counts
	cut   int64
	clean bool // its last record says that it was closed in order
	first bool // the header has been read
}

// readTo replays up to where the next segment says.
func (s *segmentReader) readTo(size int64) error {
	f, has, err := openToRead(s.path)
	if err != nil {
		return err
	}
	defer f.Close()
	if has < size {
		return damaged(s.path, has, errTorn)
	}
	if err := s.read(newFrameReader(f, size)); err != nil {
		return damaged(s.path, s.at, err)
	}
	return nil
}

// readLast replays to the end, where a crash leaves a frame that is not whole. After a crash of the process that frame is
// short, and nothing else can be wrong: the kernel has what was written. After a loss of power any page that was not
// synced may be missing; with Always that is the last frame only, so a good one behind it proves damage.
func (s *segmentReader) readLast() error {
	f, size, err := openToRead(s.path)
	if err != nil {
		return err
	}
	defer f.Close()
	err = s.read(newFrameReader(f, size))
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errTorn):
	case !errors.Is(err, errDamaged) || !s.lostPower:
		return damaged(s.path, s.at, err)
	default:
		if fault := s.checkTail(f, size); fault != nil {
			return fault
		}
	}
	s.cut = size - s.at
	return nil
}

func (s *segmentReader) checkTail(f *os.File, size int64) error {
	tail := make([]byte, size-s.at)
	if _, err := f.ReadAt(tail, s.at); err != nil {
		return err
	}
	closed := sealFrame(appendRecord(openFrame(nil), recordClosed, nil))
	endsClosed := len(tail) >= len(closed) && string(tail[len(tail)-len(closed):]) == string(closed)
	if endsClosed || s.synced && holdsFrame(tail[1:]) {
		return damaged(s.path, s.at, errDamaged)
	}
	return nil
}

func (s *segmentReader) read(frames *frameReader) error {
	for {
		payload, err := frames.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = records(payload, s.record)
		}
		s.at = frames.at
		if err != nil {
			return err
		}
	}
}

func (s *segmentReader) record(kind byte, body []byte) error {
	if s.clean || s.first != (kind != recordHeader) {
		return errMalformed
	}
	switch kind {
	case recordHeader:
		s.first = true
		return nil
	case recordAppend:
		return replayAppend(s.memory, body)
	case recordConfig:
		return replayConfig(s.memory, body)
	case recordCommands:
		return replayCommands(s.memory, body)
	case recordFlush, recordTrails:
		return replayFlush(s.memory, kind, body)
	case recordClosed:
		s.clean = true
		return nil
	case recordFiller:
		return nil
	}
	return errNewer
}
