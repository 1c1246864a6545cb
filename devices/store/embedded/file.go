package embedded

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/fleetcast/fleetcast/devices/store"
)

// The layout: a bucket "meta" with one value, and a bucket "k:" and its name for every kind.
//
//	meta    version (1 byte), revision of the last commit (8, big-endian), number of records (8), CRC-32C of these (4)
//	record  revision (8), CRC-32C of kind, id, revision and value (4), value; the key is the id
const (
	metaBucket    = "meta"
	metaKey       = "meta"
	metaBytes     = 21
	layoutVersion = 1
	bucketPrefix  = "k:"
	headerBytes   = 12
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(kind store.Kind, id, revisionAndValue []byte, value []byte) uint32 {
	sum := crc32.Update(0, castagnoli, []byte(kind))
	sum = crc32.Update(sum, castagnoli, []byte{0}) // kind and id cannot hold it
	sum = crc32.Update(sum, castagnoli, id)
	sum = crc32.Update(sum, castagnoli, []byte{0})
	sum = crc32.Update(sum, castagnoli, revisionAndValue)
	return crc32.Update(sum, castagnoli, value)
}

func encodeRecord(kind store.Kind, id string, at store.Revision, value []byte) []byte {
	out := make([]byte, headerBytes, headerBytes+len(value))
	binary.BigEndian.PutUint64(out, uint64(at))
	binary.BigEndian.PutUint32(out[8:], checksum(kind, []byte(id), out[:8], value))
	return append(out, value...)
}

// decodeRecord copies: the bytes are the file's, and only as long as the transaction lasts.
func decodeRecord(kind store.Kind, id, stored []byte) (store.Record, error) {
	at, err := checkRecord(kind, id, stored)
	if err != nil {
		return store.Record{}, err
	}
	value := make([]byte, len(stored)-headerBytes)
	copy(value, stored[headerBytes:])
	return store.Record{Kind: kind, ID: string(id), Revision: at, Value: value}, nil
}

func checkRecord(kind store.Kind, id, stored []byte) (store.Revision, error) {
	if len(stored) < headerBytes {
		return 0, fmt.Errorf("%w: a record of kind %s is cut", ErrDamaged, kind)
	}
	at, sum := stored[:8], binary.BigEndian.Uint32(stored[8:])
	if checksum(kind, id, at, stored[headerBytes:]) != sum {
		return 0, fmt.Errorf("%w: a record of kind %s is not as it was written", ErrDamaged, kind)
	}
	return store.Revision(binary.BigEndian.Uint64(at)), nil
}

func bucketOf(kind store.Kind) []byte { return []byte(bucketPrefix + string(kind)) }

// meta is what the file says of all of it.
type meta struct {
	at    store.Revision
	count int // of records: a page that lost its records is found by it
}

func readMeta(tx *bbolt.Tx) (meta, error) {
	bucket := tx.Bucket([]byte(metaBucket))
	if bucket == nil {
		return meta{}, fmt.Errorf("%w: it has no revision", ErrDamaged)
	}
	text := bucket.Get([]byte(metaKey))
	switch {
	case len(text) > 0 && text[0] != layoutVersion:
		return meta{}, errors.New("the store's file is of another version of this program")
	case len(text) != metaBytes || crc32.Checksum(text[:17], castagnoli) != binary.BigEndian.Uint32(text[17:]):
		return meta{}, fmt.Errorf("%w: its revision is not as it was written", ErrDamaged)
	}
	return meta{at: store.Revision(binary.BigEndian.Uint64(text[1:])), count: int(binary.BigEndian.Uint64(text[9:]))}, nil
}

func writeMeta(tx *bbolt.Tx, at store.Revision, count int) error {
	bucket, err := tx.CreateBucketIfNotExists([]byte(metaBucket))
	if err != nil {
		return err
	}
	text := binary.BigEndian.AppendUint64([]byte{layoutVersion}, uint64(at))
	text = binary.BigEndian.AppendUint64(text, uint64(count))
	return bucket.Put([]byte(metaKey), binary.BigEndian.AppendUint32(text, crc32.Checksum(text, castagnoli)))
}

// view runs a step that only reads. What the library panics at is damage.
func (s *Store) view(step func(*bbolt.Tx) error) error {
	if s.closed.Load() {
		return store.ErrClosed
	}
	s.exchange.RLock()
	defer s.exchange.RUnlock()
	err := guarded(func() error { return s.db.View(step) })
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return store.ErrClosed
	}
	return err
}

// readThrough reads every record once, counts them and finds damage before anybody is served.
func (s *Store) readThrough() error {
	return s.view(func(tx *bbolt.Tx) error {
		m, err := readMeta(tx)
		if err != nil {
			return err
		}
		err = tx.ForEach(func(name []byte, bucket *bbolt.Bucket) error {
			if len(name) <= len(bucketPrefix) || string(name[:len(bucketPrefix)]) != bucketPrefix {
				return nil
			}
			return s.readKind(store.Kind(name[len(bucketPrefix):]), bucket, m.at)
		})
		if err == nil && s.count != m.count {
			err = fmt.Errorf("%w: it has %d records of %d", ErrDamaged, s.count, m.count)
		}
		s.note(m.at, tx.Size())
		return err
	})
}

func (s *Store) readKind(kind store.Kind, bucket *bbolt.Bucket, last store.Revision) error {
	var before []byte
	return bucket.ForEach(func(id, stored []byte) error {
		s.count++
		at, err := checkRecord(kind, id, stored)
		switch {
		case err != nil:
			return err
		case at > last:
			return fmt.Errorf("%w: a record of kind %s is of a commit that was not", ErrDamaged, kind)
		case before != nil && bytes.Compare(before, id) >= 0:
			return fmt.Errorf("%w: the records of kind %s are not in order", ErrDamaged, kind)
		}
		before = id
		return nil
	})
}

func (s *Store) note(at store.Revision, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Revision, s.stats.Records, s.stats.Bytes = at, s.count, bytes
}
