package capture

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/simulator/measure"
	"github.com/fleetcast/fleetcast/simulator/mqttlite"
)

const (
	// MaxConnections bounds those of a replay.
	MaxConnections = 10_000
	replayWindow   = 1000
	// lateAfter is the lateness from which a message is counted as late.
	lateAfter = 50 * time.Millisecond
	ackDrain  = 5 * time.Second
	poll      = 10 * time.Millisecond
)

// ReplayOptions say how a recording is played.
type ReplayOptions struct {
	Broker
	// Speed is how much faster than it was; 0 is 1.
	Speed float64
	// Connections are those over which the topics are dealt: a topic's messages keep their order. 0 is 1.
	Connections int
	// QoS, where it is not negative, is that of all messages; 2 is sent as 1.
	QoS int
	// MaxGap shortens what is longer without a message; 0 keeps it.
	MaxGap time.Duration
	// Restamp moves the times that payloads hold to the present.
	Restamp bool
	// Rename puts a text in the place of the beginning of topics, where they have it.
	RenameFrom, RenameTo string
}

// Replayed is what became of a recording. Offered = Sent + Skipped + Failed.
type Replayed struct {
	Offered int64 `json:"offered"`
	Sent    int64 `json:"sent"`
	Late    int64 `json:"late"`    // of those sent
	Skipped int64 `json:"skipped"` // the broker did not read, or did not acknowledge
	Failed  int64 `json:"failed"`  // the connection was gone
	Acked   int64 `json:"acked"`
	Refused int64 `json:"refused"` // acknowledged with an error

	Seconds  float64             `json:"seconds"`  // it took
	Recorded float64             `json:"recorded"` // seconds that it had taken
	Lateness measure.Percentiles `json:"late_from_intended"`
	Puback   measure.Percentiles `json:"puback_from_intended"`
}

// WriteText writes it for people.
func (r Replayed) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "replayed %d of %d messages in %.1f s, which were recorded in %.1f s\n", r.Sent, r.Offered, r.Seconds, r.Recorded)
	fmt.Fprintf(&b, "late %d, skipped %d, failed %d; acked %d, refused %d\n", r.Late, r.Skipped, r.Failed, r.Acked, r.Refused)
	if r.Lateness.Count > 0 {
		fmt.Fprintf(&b, "send late  %s\n", r.Lateness.Text())
	}
	if r.Puback.Count > 0 {
		fmt.Fprintf(&b, "puback     %s\n", r.Puback.Text())
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write summary: %w", err)
	}
	return nil
}

// replay is a run.
type replay struct {
	options        ReplayOptions
	began          time.Time
	clients        []*mqttlite.Client
	late, puback   *measure.Histogram
	acked, refused atomic.Int64
}

// Replay publishes a recording, in an open loop: every message has its instant, and what could not be sent at it is
// counted, never waited for. It returns when all was sent or ctx ends, which is no error.
func Replay(ctx context.Context, o ReplayOptions, from io.Reader) (out Replayed, err error) {
	if o.Speed == 0 {
		o.Speed = 1
	}
	if o.Connections == 0 {
		o.Connections = 1
	}
	if !(o.Speed > 0 && o.Speed <= 1e6) || o.Connections < 0 || o.Connections > MaxConnections {
		return out, fmt.Errorf("replay: a speed above 0 and up to %d connections are possible", MaxConnections)
	}
	r := &replay{options: o, late: measure.NewHistogram(), puback: measure.NewHistogram()}
	r.began = time.Now()
	var serving sync.WaitGroup
	defer serving.Wait()
	defer r.goodbye()
	for range o.Connections {
		client, err := o.dial(ctx, mqttlite.Options{Window: replayWindow, OnAck: r.onAck})
		if err != nil {
			return out, err
		}
		r.clients = append(r.clients, client)
		serving.Go(func() { _ = client.Serve() }) // what is published then fails, and is counted
	}
	r.began = time.Now()
	err = r.play(ctx, newLines(from), &out)
	r.drain(ctx)
	out.Seconds = time.Since(r.began).Seconds()
	out.Acked, out.Refused = r.acked.Load(), r.refused.Load()
	out.Lateness, out.Puback = measure.Sum(r.late), measure.Sum(r.puback)
	return out, err
}

func (r *replay) onAck(token int64, code byte) {
	if code >= 0x80 {
		r.refused.Add(1)
		return
	}
	r.acked.Add(1)
	r.puback.Record(time.Since(r.began) - time.Duration(token))
}

func (r *replay) goodbye() {
	for _, c := range r.clients {
		_ = c.Disconnect() // it may be gone
	}
}

// play sends every line at its instant.
func (r *replay) play(ctx context.Context, from *lines, out *Replayed) error {
	var intended, before time.Duration // since the first line, at the recording's pace
	var first int64
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		l, err := from.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("replay: %w", err)
		}
		if first == 0 {
			first = l.At
		}
		at := max(time.Duration(l.At-first)*time.Millisecond, before) // lines may be joined from several files
		gap := at - before
		before = at
		if r.options.MaxGap > 0 {
			gap = min(gap, r.options.MaxGap)
		}
		intended += time.Duration(float64(gap) / r.options.Speed)
		if wait := intended - time.Since(r.began); wait > 0 {
			timer.Reset(wait)
			select {
			case <-ctx.Done():
				return nil
			case <-timer.C:
			}
		} else if ctx.Err() != nil {
			return nil
		}
		out.Recorded = before.Seconds()
		if err := r.send(&l, intended, out); err != nil {
			return fmt.Errorf("replay line %d: %w", from.number, err)
		}
	}
}

func (r *replay) send(l *Line, intended time.Duration, out *Replayed) error {
	payload, err := l.payload()
	if err != nil {
		return err
	}
	o := &r.options
	if o.Restamp {
		payload = restamp(payload, r.began.Add(intended).Sub(time.UnixMilli(l.At)))
	}
	if rest, ok := strings.CutPrefix(l.Topic, o.RenameFrom); ok && o.RenameFrom != "" {
		l.Topic = o.RenameTo + rest
	}
	client := r.clients[0]
	if n := len(r.clients); n > 1 {
		h := fnv.New32a()
		_, _ = h.Write([]byte(l.Topic)) // cannot fail
		client = r.clients[h.Sum32()%uint32(n)]
	}
	qos := min(l.QoS, 1)
	if o.QoS >= 0 {
		qos = byte(min(o.QoS, 1))
	}
	out.Offered++
	lateness := time.Since(r.began) - intended
	m := mqttlite.Message{
		Topic: l.Topic, Payload: payload, QoS: min(qos, client.Connack().MaximumQoS), Retain: l.Retain && !client.Connack().RetainRefused,
	}
	switch err := client.Publish(m, int64(intended)); {
	case err == nil:
		out.Sent++
		if lateness > lateAfter {
			out.Late++
		}
		r.late.Record(lateness)
	case errors.Is(err, mqttlite.ErrBusy), errors.Is(err, mqttlite.ErrWindowFull):
		out.Skipped++
	default:
		out.Failed++
	}
	return nil
}

// drain waits for PUBACKs that are under way.
func (r *replay) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, ackDrain)
	defer cancel()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		unacked := 0
		for _, c := range r.clients {
			unacked += c.Unacked()
		}
		if unacked == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
