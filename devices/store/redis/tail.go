package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fleetcast/fleetcast/devices/redisconn"
	"github.com/fleetcast/fleetcast/devices/store"
)

// where is a place in the chain of commits.
type where struct {
	revision store.Revision
	call     string // of the commit that made it, or "" before the first
}

// head is what one look at the log gives.
type head struct {
	at      where // of the store
	records int
	run     string   // of the server: another one may have lost what this one had
	commits []logged // after the revision that was asked for; as many as were asked for where there may be more
}

// logged is a commit in the log.
type logged struct {
	where
	before string // the call of the commit before it
	entry  string // "" where it was too large for the log
}

// tail reads what was committed after a revision, and where the store is.
func (s *Store) tail(ctx context.Context, after uint64, count int) (head, error) {
	list, err := tailScript.Run(ctx, s.client, []string{s.keys.meta, s.keys.log}, strconv.FormatUint(after, 10), count).StringSlice()
	if err != nil {
		return head{}, fmt.Errorf("read log: %w", err)
	}
	const fixed, width = 4, 4
	if len(list) < fixed || (len(list)-fixed)%width != 0 {
		return head{}, fmt.Errorf("read log: %w", errMalformed)
	}
	at, err1 := parseRevision(list[0])
	records, err2 := strconv.Atoi(list[2])
	if err := errors.Join(err1, err2); err != nil {
		return head{}, fmt.Errorf("read log: %w", errMalformed)
	}
	h := head{at: where{revision: at, call: list[1]}, records: records, run: list[3]}
	for i := fixed; i < len(list); i += width {
		at, err := parseRevision(list[i])
		if err != nil {
			return head{}, err
		}
		h.commits = append(h.commits, logged{where: where{revision: at, call: list[i+1]}, before: list[i+2], entry: list[i+3]})
	}
	return h, nil
}

// follow waits at the log and pulls what comes, until the store is closed.
func (s *Store) follow(ctx context.Context) {
	pause := redisconn.BackOff{}
	for !s.isClosed() {
		err := s.attempt(ctx, s.pull)
		if err == nil {
			err = s.waitAtLog(ctx)
		}
		switch {
		case err == nil:
			pause = redisconn.BackOff{}
		case errors.Is(err, store.ErrClosed):
			return
		default:
			pause.Wait(ctx, s.closed)
		}
	}
}

// waitAtLog waits until something comes after what is known, a second at most. What it is, pull reads.
func (s *Store) waitAtLog(ctx context.Context) error {
	if err := s.take(ctx); err != nil {
		return err
	}
	after := s.at.revision
	s.give()
	ctx, cancel := context.WithTimeout(ctx, waitBlock+redisconn.AttemptTimeout)
	defer cancel()
	err := s.waiter.XRead(ctx, &goredis.XReadArgs{
		Streams: []string{s.keys.log, strconv.FormatUint(uint64(after), 10) + "-0"}, Count: 1, Block: waitBlock,
	}).Err()
	if errors.Is(err, goredis.Nil) {
		return nil // nothing came; the path is alive
	}
	return err
}

// take waits for the turn.
func (s *Store) take(ctx context.Context) error {
	select {
	case <-s.turn:
		return nil
	case <-s.closed:
		return store.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Store) give() { s.turn <- struct{}{} }

// pull moves to where the store is and tells the feeds what was committed since. The first time it only notes where the
// store is: nobody has been told anything yet.
func (s *Store) pull(ctx context.Context) error {
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.give()
	for {
		h, err := s.tail(ctx, uint64(s.at.revision), tailCount)
		if err != nil {
			return err
		}
		s.note(&h)
		s.run = h.run
		all := len(h.commits) < tailCount
		switch {
		case !s.known:
			s.at, s.known = h.at, true
			return nil
		case !s.offer(h.commits) || all && s.at != h.at:
			s.skipTo(h.at)
			return nil
		case all:
			return nil
		}
	}
}

// offer tells of commits that follow each other, and returns false at one that does not.
func (s *Store) offer(commits []logged) bool {
	for i := range commits {
		c := &commits[i]
		if c.before != s.at.call {
			return false
		}
		records, err := decodeEntry(c.revision, c.entry)
		if err != nil {
			return false // too large for the log, or of another version
		}
		s.fanout.Offer(c.revision, records)
		s.at = c.where
	}
	return true
}

// skipTo goes on where the store is, and has every feed take a snapshot.
func (s *Store) skipTo(at where) {
	s.counts.gaps.Add(1)
	if at.revision < s.at.revision {
		s.opts.Logger.Warn("the store lost commits that it had taken; what is configured is read again", "revision", at.revision)
	}
	s.at = at
	s.gaps++
	s.fanout.Break()
}
