package history

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// loadAtOnce is how many readings one transaction has.
	loadAtOnce = 5000
	// followEvery is how often new readings are looked for.
	followEvery = time.Second
	// pruneEvery is how often what fleets do not keep any more is deleted.
	pruneEvery = time.Hour
)

// tables are made where they are missing. A reading is there once, however often it was written or loaded; how far a file was
// loaded is committed together with what was loaded of it.
const tables = `
CREATE TABLE IF NOT EXISTS fleetcast_readings (
	device   text NOT NULL,
	received timestamptz NOT NULL,
	entry    text NOT NULL,
	fleet    text NOT NULL,
	late     boolean NOT NULL,
	at       timestamptz,
	lat      double precision,
	lon      double precision,
	altitude double precision,
	speed    double precision,
	heading  double precision,
	accuracy double precision,
	battery  double precision,
	metrics  jsonb,
	PRIMARY KEY (device, received, entry)
);
CREATE TABLE IF NOT EXISTS fleetcast_history_files (
	name   text PRIMARY KEY,
	loaded bigint NOT NULL
);`

var columns = []string{"device", "received", "entry", "fleet", "late", "at", "lat", "lon", "altitude", "speed", "heading", "accuracy", "battery", "metrics"}

// Loaded is what Load did.
type Loaded struct {
	Readings int64 // that were new
	Known    int64 // that were there
	Old      int64 // that are older than their fleet keeps: left out, or deleted in the database
	Skipped  int   // lines that are no reading
}

// Load copies what it has not copied yet into PostgreSQL, whose URL has the form postgres://user:password@host/database. With
// follow it goes on until ctx ends, and then returns no error.
func Load(ctx context.Context, dir, url string, follow bool) (l Loaded, err error) {
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		return l, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		err = errors.Join(err, c.Close(ctx))
	}()
	if _, err := c.Exec(ctx, tables); err != nil {
		return l, fmt.Errorf("make tables: %w", err)
	}
	var pruned time.Time
	for {
		err := loadAll(ctx, c, dir, &l)
		if now := time.Now(); err == nil && now.Sub(pruned) >= pruneEvery {
			pruned, err = now, prune(ctx, c, dir, now, &l)
		}
		switch {
		case follow && ctx.Err() != nil:
			return l, nil
		case err != nil || !follow:
			return l, err
		}
		timer := time.NewTimer(followEvery)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return l, nil
		}
	}
}

func loadAll(ctx context.Context, c *pgx.Conn, dir string, l *Loaded) error {
	files, err := List(dir)
	if err != nil {
		return err
	}
	kept, err := ReadRetention(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		var from int64
		if err := c.QueryRow(ctx, "SELECT loaded FROM fleetcast_history_files WHERE name = $1", f.Name).Scan(&from); err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("ask how far %s was loaded: %w", f.Name, err)
		}
		if err := loadFile(ctx, c, f, from, kept, l); err != nil && !errors.Is(err, fs.ErrNotExist) { // it was deleted for its age meanwhile
			return fmt.Errorf("load %s: %w", f.Name, err)
		}
	}
	return nil
}

var errFull = errors.New("enough for a transaction")

func loadFile(ctx context.Context, c *pgx.Conn, f File, from int64, kept Retention, l *Loaded) error {
	now := time.Now()
	for {
		old := int64(0)
		var rows [][]any
		to, skipped, err := Read(f.Path, from, func(_ []byte, line *Line) error {
			if len(rows) == loadAtOnce {
				return errFull
			}
			if keep, own := kept[line.Fleet]; own && now.Sub(time.UnixMilli(line.Received)) > keep {
				old++
				return nil
			}
			rows = append(rows, line.row())
			return nil
		})
		if err != nil && !errors.Is(err, errFull) {
			return err
		}
		if to > from {
			if err := pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error { return insert(ctx, tx, f.Name, to, rows, l) }); err != nil {
				return err
			}
		}
		l.Skipped += skipped
		l.Old += old
		if err == nil {
			return nil
		}
		from = to
	}
}

// insert copies the rows, those that are there already left out, and says how far the file was loaded.
func insert(ctx context.Context, tx pgx.Tx, name string, to int64, rows [][]any, l *Loaded) error {
	if _, err := tx.Exec(ctx, "CREATE TEMPORARY TABLE fleetcast_load (LIKE fleetcast_readings) ON COMMIT DROP"); err != nil {
		return err
	}
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"fleetcast_load"}, columns, pgx.CopyFromRows(rows)); err != nil {
		return err
	}
	tag, err := tx.Exec(ctx, "INSERT INTO fleetcast_readings SELECT * FROM fleetcast_load ON CONFLICT DO NOTHING")
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "INSERT INTO fleetcast_history_files VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET loaded = excluded.loaded", name, to); err != nil {
		return err
	}
	l.Readings += tag.RowsAffected()
	l.Known += int64(len(rows)) - tag.RowsAffected()
	return nil
}

// pruneIndex is what deleting by fleet and time needs, made only where a fleet says for how long it keeps its readings.
const pruneIndex = "CREATE INDEX IF NOT EXISTS fleetcast_readings_of_fleet ON fleetcast_readings (fleet, received)"

// prune deletes what is older than its fleet keeps. What holds for other fleets in the database is its owner's to say.
func prune(ctx context.Context, c *pgx.Conn, dir string, now time.Time, l *Loaded) error {
	kept, err := ReadRetention(dir)
	if err != nil || len(kept) == 0 {
		return err
	}
	if _, err := c.Exec(ctx, pruneIndex); err != nil {
		return fmt.Errorf("index readings by fleet: %w", err)
	}
	for fleet, keep := range kept {
		tag, err := c.Exec(ctx, "DELETE FROM fleetcast_readings WHERE fleet = $1 AND received < $2", fleet, now.Add(-keep))
		if err != nil {
			return fmt.Errorf("delete old readings of a fleet: %w", err)
		}
		l.Old += tag.RowsAffected()
	}
	return nil
}

// row is the line in the order of columns.
func (l *Line) row() []any {
	var at, metrics any
	if l.At != 0 {
		at = time.UnixMilli(l.At)
	}
	if len(l.Metrics) > 0 {
		metrics = string(l.Metrics)
	}
	return []any{
		l.Device, time.UnixMilli(l.Received), l.Entry, l.Fleet, l.Late, at,
		l.Lat, l.Lon, l.Altitude, l.Speed, l.Heading, l.Accuracy, l.Battery, metrics,
	}
}
