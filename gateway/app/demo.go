package app

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"

	"github.com/fleetcast/fleetcast/bridge/rules"
)

// demoRules are a few rules and fences for the demo's fleet, so that its page has alerts: some a minute, however many
// devices there are.
//
//go:embed demo.json
var demoRules []byte

// SeedDemo makes the rules and fences of the demo where there are none at all.
func (a *App) SeedDemo(ctx context.Context) error {
	book := a.parts.rules
	if s := book.Stats(); !book.Ready() || s.Rules+s.Fences > 0 {
		return nil
	}
	var demo struct {
		Fences []rules.Fence
		Rules  []rules.Rule
	}
	if err := json.Unmarshal(demoRules, &demo); err != nil {
		return fmt.Errorf("read rules of the demo: %w", err)
	}
	for _, f := range demo.Fences {
		if _, err := book.CreateFence(ctx, f); err != nil {
			return fmt.Errorf("make fence of the demo: %w", err)
		}
	}
	for _, r := range demo.Rules {
		if _, err := book.CreateRule(ctx, r); err != nil {
			return fmt.Errorf("make rule of the demo: %w", err)
		}
	}
	return nil
}
