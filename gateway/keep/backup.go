package keep

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/bridge/diskbus"
	"github.com/fleetcast/fleetcast/devices/store"
	"github.com/fleetcast/fleetcast/devices/store/embedded"
)

// Source is what a gateway keeps in its directory.
type Source struct {
	Bus     *diskbus.Bus
	Store   *embedded.Store
	Version string // of the gateway
}

// Backup writes a backup of what is held now. The gateway goes on meanwhile.
func (s *Source) Backup(ctx context.Context, to io.Writer) (Contents, error) {
	var c Contents
	now := time.Now()
	a := newArchiveWriter(to, now)
	err := a.json(manifestName, Manifest{
		Format: Format, Version: s.Version, Made: now.UTC().Format(time.RFC3339), Partitions: s.Bus.Partitions(),
	})
	if err != nil {
		return c, fmt.Errorf("write backup: %w", err)
	}
	log := &pieces{to: a}
	if c.Bus, err = s.Bus.Backup(ctx, log); err == nil {
		err = log.end()
	}
	if err == nil {
		c.Store, err = s.backupStore(ctx, a)
	}
	if err == nil {
		err = a.json(contentsName, c)
	}
	if err == nil {
		err = a.end()
	}
	if err != nil {
		return c, fmt.Errorf("write backup: %w", err)
	}
	return c, nil
}

func (s *Source) backupStore(ctx context.Context, a *archiveWriter) (store.Stats, error) {
	st, err := s.Store.Backup(ctx, func(size int64) (io.Writer, error) { return a.begin(storeName, size) })
	if err == nil {
		a.finish()
	}
	return st, err
}

// Verify reads a backup through to its sums.
func Verify(from io.Reader) (Manifest, Contents, error) {
	var c Contents
	plain, err := unpacked(from)
	if err != nil {
		return Manifest{}, c, err
	}
	a := &archiveReader{tar: tar.NewReader(plain)}
	m, err := a.manifest()
	for err == nil {
		var name string
		if name, err = a.next(); err != nil {
			break
		}
		switch name {
		case contentsName:
			err = a.json(&c)
		case sumsName:
			if err = a.end(); err == nil {
				_, err = io.Copy(io.Discard, plain) // what is left is the end of the tar file
			}
			return m, c, err
		}
	}
	return m, c, err
}

// Restore fills an empty directory with a backup, reads what it wrote, and holds it against what the backup says it has.
// A directory that it could not fill does not open, until somebody empties it.
func Restore(dir string, from io.Reader) (Manifest, Contents, error) {
	var none Contents
	plain, err := unpacked(from)
	if err != nil {
		return Manifest{}, none, err
	}
	a := &archiveReader{tar: tar.NewReader(plain)}
	m, err := a.manifest()
	if err != nil {
		return m, none, err
	}
	if err := diskbus.BeginRestore(dir); err != nil {
		return m, none, err
	}
	c, err := restore(dir, a, m.Partitions)
	if err == nil {
		err = diskbus.EndRestore(dir)
	}
	return m, c, err
}

func restore(dir string, a *archiveReader, partitions int) (Contents, error) {
	var got, promised Contents
	first, err := a.next()
	if err != nil || !strings.HasPrefix(first, piecePrefix) {
		return got, fmt.Errorf("%w: it has no log: %w", ErrDamaged, err)
	}
	if got.Bus, err = diskbus.Restore(dir, &pieceReader{from: a}, partitions); err != nil {
		return got, err
	}
	if a.name != storeName {
		return got, fmt.Errorf("%w: it has %s where %s is to be", ErrDamaged, a.name, storeName)
	}
	if got.Store, err = embedded.Restore(dir, a); err != nil {
		return got, err
	}
	if err := a.expect(contentsName); err != nil {
		return got, err
	}
	if err := a.json(&promised); err != nil {
		return got, err
	}
	if err := a.expect(sumsName); err != nil {
		return got, err
	}
	if err := a.end(); err != nil {
		return got, err
	}
	switch {
	case got.Bus != promised.Bus || got.Store.Records != promised.Store.Records || got.Store.Revision != promised.Store.Revision:
		return got, fmt.Errorf("%w: it says that it has %+v, and it has %+v", ErrDamaged, promised, got)
	case got.Bus.Config > uint64(got.Store.Revision):
		return got, fmt.Errorf("%w: what people configured is older than what owners had applied of it", ErrDamaged)
	}
	return got, nil
}

// unpacked reads a tar file, and one in gzip.
func unpacked(from io.Reader) (io.Reader, error) {
	b := bufio.NewReaderSize(from, 64<<10)
	magic, err := b.Peek(2)
	if err != nil {
		return nil, damaged(err)
	}
	if magic[0] != 0x1f || magic[1] != 0x8b {
		return b, nil
	}
	z, err := gzip.NewReader(b)
	if err != nil {
		return nil, damaged(err)
	}
	return z, nil
}
