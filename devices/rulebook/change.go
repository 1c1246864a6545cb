package rulebook

import (
	"context"
	"crypto/rand"
	"encoding/hex"

	"github.com/fleetcast/fleetcast/bridge/rules"
	"github.com/fleetcast/fleetcast/devices/store"
)

// NewID makes up an id for what people gave none.
func NewID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// Rule returns a rule as this process has it.
func (b *Book) Rule(id string) (*Kept[rules.Rule], bool) { return b.rules.get(id) }

// RulesPage returns a page of the rules that are seen, by id.
func (b *Book) RulesPage(after string, limit int, sees func(*rules.Rule) bool) ([]*Kept[rules.Rule], string) {
	return b.rules.page(after, limit, sees)
}

// ReadRule returns a rule as the store has it.
func (b *Book) ReadRule(ctx context.Context, id string) (*Kept[rules.Rule], error) {
	return read[rules.Rule](ctx, b, KindRule, id)
}

// CreateRule keeps a new rule, which was checked.
func (b *Book) CreateRule(ctx context.Context, r rules.Rule) (*Kept[rules.Rule], error) {
	return create(ctx, b, &b.rules, KindRule, r.ID, &Kept[rules.Rule]{Value: r}, MaxRules)
}

// ReplaceRule writes a changed rule over the one of a revision.
func (b *Book) ReplaceRule(ctx context.Context, r *Kept[rules.Rule], at store.Revision) (*Kept[rules.Rule], error) {
	return replace(ctx, b, KindRule, r.Value.ID, r, at)
}

// DeleteRule removes a rule. What it has raised is cleared.
func (b *Book) DeleteRule(ctx context.Context, id string, at store.Revision) error {
	return remove(ctx, b, KindRule, id, at)
}

// Fence returns a fence as this process has it.
func (b *Book) Fence(id string) (*Kept[rules.Fence], bool) { return b.fences.get(id) }

// FencesPage returns a page of the fences that are seen, by id.
func (b *Book) FencesPage(after string, limit int, sees func(*rules.Fence) bool) ([]*Kept[rules.Fence], string) {
	return b.fences.page(after, limit, sees)
}

// ReadFence returns a fence as the store has it.
func (b *Book) ReadFence(ctx context.Context, id string) (*Kept[rules.Fence], error) {
	return read[rules.Fence](ctx, b, KindFence, id)
}

// CreateFence keeps a new fence, which was checked.
func (b *Book) CreateFence(ctx context.Context, f rules.Fence) (*Kept[rules.Fence], error) {
	return create(ctx, b, &b.fences, KindFence, f.ID, &Kept[rules.Fence]{Value: f}, MaxFences)
}

// ReplaceFence writes a changed fence over the one of a revision.
func (b *Book) ReplaceFence(ctx context.Context, f *Kept[rules.Fence], at store.Revision) (*Kept[rules.Fence], error) {
	return replace(ctx, b, KindFence, f.Value.ID, f, at)
}

// DeleteFence removes a fence. Rules that speak of it cannot be asked any more, and say so.
func (b *Book) DeleteFence(ctx context.Context, id string, at store.Revision) error {
	return remove(ctx, b, KindFence, id, at)
}
