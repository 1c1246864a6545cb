package history

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// sweepEvery is how often files that are too old are looked for.
const sweepEvery = 10 * time.Minute

// Run deletes what is too old, now and then, until ctx ends. What it has to read may be large, so it is not done between two
// writes.
func (w *Writer) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		w.sweep(ctx, w.now())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// sweep takes the readings of each fleet out of the files that are too old for it. Nothing goes while nobody knows what the fleets
// keep: one of them may keep it for longer than the others.
func (w *Writer) sweep(ctx context.Context, now time.Time) {
	var kept Retention
	if w.o.Fleets != nil {
		var ok bool
		if kept, ok = w.o.Fleets(); !ok {
			return
		}
	}
	w.sweeping.Lock()
	defer w.sweeping.Unlock()
	w.sweeper.take(kept)
	w.closeOld(now)
	if said, err := ReadRetention(w.o.Dir); err != nil || !maps.Equal(said, kept) {
		if err := kept.write(w.o.Dir); err != nil {
			w.o.Logger.WarnContext(ctx, "for how long fleets keep their history was not written down", "error", err)
		}
	}
	files, err := List(w.o.Dir)
	if err != nil {
		w.o.Logger.WarnContext(ctx, "old files of the history were not looked for", "error", err)
		return
	}
	for _, f := range files {
		info, err := os.Stat(f.Path)
		if err != nil || ctx.Err() != nil || now.Sub(info.ModTime()) < w.o.Rotate || w.isOpen(f.Path) {
			continue
		}
		n, removed, err := w.sweeper.sweepFile(f.Path, now.Sub(info.ModTime()), w.o.Keep)
		w.forgotten.Add(uint64(n))
		if err != nil {
			w.o.Logger.WarnContext(ctx, "an old file of the history was not deleted", "error", err)
		} else if removed {
			w.removed.Add(1)
		}
	}
}

// closeOld closes the files that have had their time: where nothing is said for long, no write does it.
func (w *Writer) closeOld(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.parts {
		p.mu.Lock()
		if p.file != nil && now.Sub(p.began) >= w.o.Rotate {
			if err := p.close(); err != nil {
				w.o.Logger.Warn("a file of the history was not closed well", "error", err)
			}
		}
		p.mu.Unlock()
	}
}

// isOpen tells whether this process may still write to a file. Another's is closed by the time that it is old enough to go.
func (w *Writer) isOpen(path string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.parts {
		p.mu.Lock()
		is := p.file != nil && p.file.Name() == path
		p.mu.Unlock()
		if is {
			return true
		}
	}
	return false
}

// Forget takes readings out of all files that nobody writes to any more. The own ones are closed for it; with them the files of
// other processes remain that began within the time of a file, and their number is returned as open.
func (w *Writer) Forget(c Choice) (forgotten, open int, err error) {
	w.sweeping.Lock()
	defer w.sweeping.Unlock()
	if err := w.Close(); err != nil {
		return 0, 0, err
	}
	return forgetAll(w.o.Dir, c.Has, func(f File) bool {
		if strings.Contains(filepath.Base(f.Path), w.run) {
			return w.isOpen(f.Path)
		}
		return f.mayBeOpen(w.o.Rotate)
	})
}
