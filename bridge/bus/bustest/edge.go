package bustest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

var edgeChecks = []check{
	{"an edge is asked and answers", edgeAnswers},
	{"an edge that is not there is not found", edgeGone},
	{"a question that is too long, or to nobody, is refused", edgeQuestions},
	{"edges answer while one of them takes its time", edgesAnswerTogether},
}

// echo answers with the edge's name and the question.
func echo(edge bus.EdgeID) func(context.Context, []byte) []byte {
	return func(_ context.Context, q []byte) []byte { return append([]byte(edge.String()), q...) }
}

// serving has an edge answer while the rest runs.
func serving(ctx context.Context, b bus.Edges, edge bus.EdgeID, answer func(context.Context, []byte) []byte, run func(context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	return together(ctx, func(ctx context.Context) error { return b.AnswerEdge(ctx, edge, answer) }, func(ctx context.Context) error {
		defer stop()
		return run(ctx)
	})
}

// askUntil asks until the edge is there: it may be on its way.
func askUntil(ctx context.Context, b bus.Edges, edge bus.EdgeID, q []byte) ([]byte, error) {
	for {
		a, err := b.AskEdge(ctx, edge, q)
		if err == nil || devices.KindOf(err) != devices.NotFound || ctx.Err() != nil {
			return a, err
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func edgeAnswers(ctx context.Context, s *site) error {
	b := s.open(Options{})
	edge := bus.NewEdgeID()
	return serving(ctx, b, edge, echo(edge), func(ctx context.Context) error {
		for _, q := range [][]byte{[]byte("how are you\n\x00\xff"), {}, bytes.Repeat([]byte("x"), bus.MaxQuestionBytes)} {
			a, err := askUntil(ctx, b, edge, q)
			if err != nil {
				return fmt.Errorf("ask %d bytes: %w", len(q), err)
			}
			if want := append([]byte(edge.String()), q...); !bytes.Equal(a, want) {
				return fmt.Errorf("a question of %d bytes is answered with %d", len(q), len(a))
			}
		}
		return nil
	})
}

func edgeGone(ctx context.Context, s *site) error {
	if s.partitions > 1 { // it takes its time, and edges are of no partition
		return nil
	}
	b := s.open(Options{})
	_, err := b.AskEdge(ctx, bus.NewEdgeID(), []byte("?"))
	if err := wantKind("asking an edge that never was", err, devices.NotFound); err != nil {
		return err
	}
	edge := bus.NewEdgeID()
	err = serving(ctx, b, edge, echo(edge), func(ctx context.Context) error {
		_, err := askUntil(ctx, b, edge, []byte("?"))
		return err
	})
	if err != nil {
		return err
	}
	_, err = b.AskEdge(ctx, edge, []byte("?"))
	return wantKind("asking an edge that left", err, devices.NotFound)
}

func edgeQuestions(ctx context.Context, s *site) error {
	b := s.open(Options{})
	_, long := b.AskEdge(ctx, bus.NewEdgeID(), make([]byte, bus.MaxQuestionBytes+1))
	_, nobody := b.AskEdge(ctx, 0, nil)
	return errors.Join(
		wantKind("a question that is too long", long, devices.Invalid), wantKind("asking edge 0", nobody, devices.NotFound),
		wantKind("edge 0", b.AnswerEdge(ctx, 0, echo(0)), devices.Invalid),
	)
}

// edgesAnswerTogether has a slow question and a fast one to one edge.
func edgesAnswerTogether(ctx context.Context, s *site) error {
	b := s.open(Options{})
	edge, hold := bus.NewEdgeID(), make(chan struct{})
	answer := func(ctx context.Context, q []byte) []byte {
		if string(q) == "slow" {
			select {
			case <-hold:
			case <-ctx.Done():
			}
		}
		return q
	}
	return serving(ctx, b, edge, answer, func(ctx context.Context) error {
		if _, err := askUntil(ctx, b, edge, []byte("there")); err != nil {
			return err
		}
		return together(ctx, func(ctx context.Context) error {
			_, err := b.AskEdge(ctx, edge, []byte("slow"))
			if devices.KindOf(err) == devices.NotFound { // a machine that is slower still
				return nil
			}
			return err
		}, func(ctx context.Context) error {
			defer close(hold)
			_, err := b.AskEdge(ctx, edge, []byte("fast"))
			return err
		})
	})
}
