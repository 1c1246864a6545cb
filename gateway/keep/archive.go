package keep

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/bridge/diskbus"
	"github.com/fleetcast/fleetcast/devices/store"
)

// Format is the version of the format of backups.
const Format = 1

// The names of files in a backup.
const (
	manifestName = "fleetcast.json"
	piecePrefix  = "bus/"
	storeName    = "store.db"
	contentsName = "contents.json"
	sumsName     = "SHA256SUMS"
)

const (
	// pieceBytes is the size of a piece: a tar file says how long a file is before the file, and a snapshot does not know.
	pieceBytes = 4 << 20
	// maxSmallBytes bounds what is read into memory.
	maxSmallBytes = 8 << 20
)

// ErrDamaged says that a backup is not as it was written.
var ErrDamaged = errors.New("the backup is damaged")

// Manifest is what a backup says of itself at its beginning.
type Manifest struct {
	Format     int    `json:"format"`
	Version    string `json:"version"` // of the gateway
	Made       string `json:"made"`    // RFC 3339
	Partitions int    `json:"partitions"`
}

// Contents is how many of what a backup holds.
type Contents struct {
	Bus   diskbus.Copied `json:"bus"`
	Store store.Stats    `json:"store"`
}

// archiveWriter writes the files of a backup and notes their sums.
type archiveWriter struct {
	tar  *tar.Writer
	made time.Time
	name string // of the file that is being written
	sum  hash.Hash
	sums strings.Builder
}

func newArchiveWriter(w io.Writer, made time.Time) *archiveWriter {
	return &archiveWriter{tar: tar.NewWriter(w), made: made}
}

// begin begins a file; just as many bytes as are promised are to be written before finish.
func (a *archiveWriter) begin(name string, size int64) (io.Writer, error) {
	if err := a.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: a.made, Format: tar.FormatPAX}); err != nil {
		return nil, err
	}
	a.name, a.sum = name, sha256.New()
	return io.MultiWriter(a.tar, a.sum), nil
}

func (a *archiveWriter) finish() {
	fmt.Fprintf(&a.sums, "%s  %s\n", hex.EncodeToString(a.sum.Sum(nil)), a.name)
}

func (a *archiveWriter) bytes(name string, b []byte) error {
	to, err := a.begin(name, int64(len(b)))
	if err != nil {
		return err
	}
	if _, err := to.Write(b); err != nil {
		return err
	}
	a.finish()
	return nil
}

func (a *archiveWriter) json(name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return a.bytes(name, append(b, '\n'))
}

// end writes the sums, without which a backup is not whole.
func (a *archiveWriter) end() error {
	return errors.Join(a.bytes(sumsName, []byte(a.sums.String())), a.tar.Close())
}

// pieces is the writer of what has no length before its end.
type pieces struct {
	to  *archiveWriter
	buf []byte
	n   int
}

func (p *pieces) Write(b []byte) (int, error) {
	p.buf = append(p.buf, b...)
	for len(p.buf) >= pieceBytes {
		if err := p.write(p.buf[:pieceBytes]); err != nil {
			return 0, err
		}
		p.buf = append(p.buf[:0], p.buf[pieceBytes:]...)
	}
	return len(b), nil
}

func (p *pieces) write(b []byte) error {
	p.n++
	return p.to.bytes(fmt.Sprintf("%s%06d", piecePrefix, p.n), b)
}

func (p *pieces) end() error {
	if len(p.buf) == 0 {
		return nil
	}
	return p.write(p.buf)
}

// archiveReader reads the files of a backup in their order, and checks them against their sums at the end.
type archiveReader struct {
	tar  *tar.Reader
	name string // of the file that the reader stands in
	sum  hash.Hash
	sums strings.Builder
}

// next goes to the next file and returns its name. What was not read of the one before is read for its sum.
func (a *archiveReader) next() (string, error) {
	if err := a.leave(); err != nil {
		return "", err
	}
	h, err := a.tar.Next()
	if err != nil {
		return "", damaged(err)
	}
	a.name, a.sum = h.Name, sha256.New()
	return h.Name, nil
}

func (a *archiveReader) leave() error {
	if a.sum == nil {
		return nil
	}
	if _, err := io.Copy(io.Discard, a); err != nil {
		return err
	}
	fmt.Fprintf(&a.sums, "%s  %s\n", hex.EncodeToString(a.sum.Sum(nil)), a.name)
	a.sum = nil
	return nil
}

// Read reads the present file.
func (a *archiveReader) Read(b []byte) (int, error) {
	n, err := a.tar.Read(b)
	a.sum.Write(b[:n])
	if err != nil && !errors.Is(err, io.EOF) {
		err = damaged(err)
	}
	return n, err
}

// expect goes to the next file, which must be this one.
func (a *archiveReader) expect(name string) error {
	got, err := a.next()
	if err == nil && got != name {
		err = fmt.Errorf("%w: it has %s where %s is to be", ErrDamaged, got, name)
	}
	return err
}

func (a *archiveReader) json(v any) error {
	b, err := io.ReadAll(io.LimitReader(a, maxSmallBytes))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return damaged(err)
	}
	return nil
}

// manifest reads the first file.
func (a *archiveReader) manifest() (Manifest, error) {
	var m Manifest
	if err := a.expect(manifestName); err != nil {
		return m, err
	}
	if err := a.json(&m); err != nil {
		return m, err
	}
	if m.Format != Format {
		return m, fmt.Errorf("the backup's format is %d, and this gateway reads %d: it was written by %s", m.Format, Format, m.Version)
	}
	return m, nil
}

// end reads the sums, in whose file the reader stands, and compares them with those of what was read.
func (a *archiveReader) end() error {
	has := a.sums.String()
	b, err := io.ReadAll(io.LimitReader(a, maxSmallBytes))
	if err != nil {
		return err
	}
	if string(b) != has {
		return fmt.Errorf("%w: the sums of its files are others", ErrDamaged)
	}
	return nil
}

// pieceReader reads all pieces as one. It stands in the first; at its end the archive stands in the file after the last.
type pieceReader struct{ from *archiveReader }

func (p *pieceReader) Read(b []byte) (int, error) {
	for {
		if !strings.HasPrefix(p.from.name, piecePrefix) {
			return 0, io.EOF
		}
		n, err := p.from.Read(b)
		if n > 0 {
			return n, nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if _, err := p.from.next(); err != nil {
			return 0, err
		}
	}
}

func damaged(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends too early", ErrDamaged)
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}
