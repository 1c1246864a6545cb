package app

import (
	"testing"
)

func TestTheDemoHasRulesOnceAndTheyCanBeAsked(t *testing.T) {
	g := startGateway(t)
	for range 2 {
		if err := g.SeedDemo(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if s := g.parts.rules.Stats(); s.Rules != 5 || s.Fences != 3 || s.Faults != 0 {
		t.Errorf("%+v", s)
	}
	if n := g.parts.rules.Rules().Len(); n != 5 {
		t.Errorf("%d rules are asked", n)
	}
	if err := g.parts.rules.DeleteRule(t.Context(), "demo-fast", 0); err != nil {
		t.Fatal(err)
	}
	if err := g.SeedDemo(t.Context()); err != nil || g.parts.rules.Stats().Rules != 4 {
		t.Errorf("what people deleted comes back: %v", err)
	}
}
