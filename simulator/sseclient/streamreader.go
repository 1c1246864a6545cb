package sseclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync/atomic"
	"time"
)

const (
	// slowReadsASecond is how often a slow reader reads: its bytes come in portions of a tenth of its pace.
	slowReadsASecond = 10
	// slowReceiveBuffer is asked for from the kernel, which doubles it: what lies there is not read slowly.
	slowReceiveBuffer = 4 << 10
)

// streamReader is the connection with the client's limits: header bytes, silence, age and pace.
type streamReader struct {
	ctx        context.Context //nolint:containedctx // it ends the waits of a paced Read, which has no other way in
	conn       net.Conn
	silence    time.Duration
	headerLeft int // negative: the stream is open
	cutAt      time.Time
	pace       int64
	deadline   time.Time
	total      *atomic.Int64
}

func (r *streamReader) opened(maxAge time.Duration, pace int64) {
	r.headerLeft, r.pace = -1, pace
	if maxAge > 0 {
		r.cutAt = time.Now().Add(maxAge - rand.N(maxAge/4+1))
	}
}

// Read reads within the limits.
func (r *streamReader) Read(p []byte) (int, error) {
	switch {
	case r.headerLeft == 0:
		return 0, fmt.Errorf("read headers: %w", ErrTooLong)
	case r.headerLeft > 0:
		n, err := r.conn.Read(p[:min(len(p), r.headerLeft)])
		r.headerLeft -= n
		r.total.Add(int64(n))
		return n, err
	}
	if r.pace > 0 {
		if err := rest(r.ctx); err != nil {
			return 0, err
		}
		p = p[:min(int64(len(p)), max(r.pace/slowReadsASecond, 1))]
	}
	if err := r.arm(); err != nil {
		return 0, err
	}
	n, err := r.conn.Read(p)
	r.total.Add(int64(n))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = ErrSilent
		if !r.cutAt.IsZero() && !time.Now().Before(r.cutAt) {
			err = ErrCut
		}
	}
	return n, err
}

// arm moves the deadline when it is off by more than a second: not at each read, which would cost as much as the read.
func (r *streamReader) arm() error {
	var want time.Time
	if r.silence > 0 {
		want = time.Now().Add(r.silence)
	}
	if !r.cutAt.IsZero() && (want.IsZero() || r.cutAt.Before(want)) {
		want = r.cutAt
	}
	if want.Equal(r.deadline) || (!r.deadline.IsZero() && want != r.cutAt && want.Sub(r.deadline) < time.Second) {
		return nil
	}
	r.deadline = want
	if err := r.conn.SetReadDeadline(want); err != nil {
		return fmt.Errorf("set deadline: %w", err)
	}
	return nil
}

// rest is the pause of a slow reader.
func rest(ctx context.Context) error {
	timer := time.NewTimer(time.Second / slowReadsASecond)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("read slowly: %w", ctx.Err())
	case <-timer.C:
		return nil
	}
}

// Paced returns a reader that reads so many bytes a second, until ctx ends. It is for streams that a client of this package
// does not open.
func Paced(ctx context.Context, r io.Reader, pace int64) io.Reader {
	return readFunc(func(p []byte) (int, error) {
		if err := rest(ctx); err != nil {
			return 0, err
		}
		return r.Read(p[:min(int64(len(p)), max(pace/slowReadsASecond, 1))])
	})
}

type readFunc func([]byte) (int, error)

// Read calls it.
func (f readFunc) Read(p []byte) (int, error) { return f(p) }
