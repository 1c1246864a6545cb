package history

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"
)

// retentionFile is where a writer says for how long fleets that differ from the rest keep their history, for those who copy the
// files elsewhere: {"fleets":{"north":604800}}, in seconds.
const retentionFile = "retention.json"

// Retention is for how long readings are kept, by fleet. A fleet that is not in it has what holds for all.
type Retention map[string]time.Duration

type retentionJSON struct {
	Fleets map[string]int64 `json:"fleets"`
}

// ReadRetention reads what the writer of a directory said last; nothing where it said nothing.
func ReadRetention(dir string) (Retention, error) {
	raw, err := os.ReadFile(filepath.Join(dir, retentionFile)) //nolint:gosec // a file of the operator's directory
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var said retentionJSON
	if err == nil {
		err = json.Unmarshal(raw, &said)
	}
	if err != nil {
		return nil, fmt.Errorf("read retention of history: %w", err)
	}
	kept := Retention{}
	for fleet, seconds := range said.Fleets {
		if seconds > 0 {
			kept[fleet] = time.Duration(seconds) * time.Second
		}
	}
	return kept, nil
}

// write puts the file in place of the one before, whole.
func (k Retention) write(dir string) error {
	said := retentionJSON{Fleets: map[string]int64{}}
	for fleet, kept := range k {
		said.Fleets[fleet] = int64(kept / time.Second)
	}
	raw, err := json.Marshal(said)
	if err != nil {
		return fmt.Errorf("write retention of history: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make history directory: %w", err)
	}
	path := filepath.Join(dir, retentionFile)
	if err := os.WriteFile(path+".tmp", append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("write retention of history: %w", err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return fmt.Errorf("write retention of history: %w", err)
	}
	return nil
}

// due tells for a file of an age which readings go: those of fleets that keep them for less. step is another number whenever
// more fleets have become due, so that a file is read once for each. rest is what holds for fleets that are not named; negative:
// for ever.
func (k Retention) due(age, rest time.Duration) (goes func(fleet string) bool, all bool, step time.Duration) {
	all = rest >= 0 && age >= rest
	if all {
		step = rest
	}
	for _, kept := range k {
		if age >= kept {
			step = max(step, kept)
		} else {
			all = false
		}
	}
	return func(fleet string) bool {
		kept, own := k[fleet]
		if !own {
			kept = rest
		}
		return kept >= 0 && age >= kept
	}, all, step
}

// sweeper remembers which files were looked through for which retention, as a file may be large and most have nothing to lose.
type sweeper struct {
	kept  Retention
	steps map[string]time.Duration // by path
}

// take takes a retention in. Where it differs from the one before, every file is looked through again.
func (s *sweeper) take(kept Retention) {
	if s.steps == nil || !maps.Equal(kept, s.kept) {
		s.kept, s.steps = maps.Clone(kept), map[string]time.Duration{}
	}
}

// sweepFile takes out of a closed file what is too old; it returns the readings that went and whether the file did as a whole.
func (s *sweeper) sweepFile(path string, age, rest time.Duration) (forgotten int, removed bool, err error) {
	goes, all, step := s.kept.due(age, rest)
	switch {
	case step == 0 || s.steps[path] == step:
		return 0, false, nil
	case all:
		delete(s.steps, path)
		return 0, true, os.Remove(path)
	}
	forgotten, now, err := forgetIn(path, func(l *Line) bool { return goes(l.Fleet) })
	if err != nil {
		return forgotten, false, err
	}
	delete(s.steps, path)
	if now != "" {
		s.steps[now] = step
	}
	return forgotten, now == "", nil
}
