package diskbus

import (
	"context"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

// AnswerEdge implements bus.Edges.
func (b *Bus) AnswerEdge(ctx context.Context, edge bus.EdgeID, answer func(context.Context, []byte) []byte) error {
	return b.memory.AnswerEdge(ctx, edge, answer)
}

// AskEdge implements bus.Edges.
func (b *Bus) AskEdge(ctx context.Context, edge bus.EdgeID, question []byte) ([]byte, error) {
	return b.memory.AskEdge(ctx, edge, question)
}
