package registry

import (
	"bytes"
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/store"
)

// ImportOptions say how rows become devices.
type ImportOptions struct {
	// Update lets a row change a device that is registered; without it such a row is an error. What a row leaves empty
	// stays as it is, and so does the credential unless the row brings a hash.
	Update bool
	// All writes nothing where any row is wrong. What others change while it is written may still leave it in part: the
	// report says of each row what became of it.
	All bool
}

// Outcome is what became of a row.
type Outcome struct {
	Line   int    `json:"line"`
	ID     string `json:"id,omitempty"`
	Fleet  string `json:"fleet,omitempty"`
	Action string `json:"action,omitempty"` // created, updated, unchanged
	Token  string `json:"token,omitempty"`  // shown here and never again
	Error  string `json:"error,omitempty"`
}

// Summary is the numbers of an import.
type Summary struct {
	Created   int `json:"created"`
	Updated   int `json:"updated"`
	Unchanged int `json:"unchanged"`
	Failed    int `json:"failed"`
}

// Bounds of one commit of an import.
const (
	importBatch      = store.MaxOps / 4 // a device is four ops at most
	importBatchBytes = store.MaxCommitBytes / 2
)

// Import makes devices of rows and tells of each what became of it, in order where nothing is wrong. An error of report
// ends it, as does one of the store; what was told before stands.
func (r *Registry) Import(ctx context.Context, lines iter.Seq[Line], o ImportOptions, report func(Outcome) error) (Summary, error) {
	im := &importer{r: r, o: o, report: report, seen: map[devices.DeviceID]int{}}
	err := im.read(ctx, lines)
	if err == nil {
		err = im.finish(ctx)
	}
	return im.sum, err
}

// importer is one import.
type importer struct {
	r      *Registry
	o      ImportOptions
	report func(Outcome) error
	sum    Summary
	seen   map[devices.DeviceID]int // the line of each
	fleets map[devices.FleetID]int  // devices that the batch adds, for the bounds
	batch  []*importRow
	bytes  int
	failed []Outcome // with All: nothing is told before all is read
}

type importRow struct {
	line   int
	device Device
	before *Device // nil: it is new
	c      *Credential
	token  string
	ops    []store.Op
}

func (im *importer) read(ctx context.Context, lines iter.Seq[Line]) error {
	rows := 0
	for line := range lines {
		if err := ctx.Err(); err != nil {
			return err
		}
		if rows++; rows > MaxImportRows {
			return im.fail(Outcome{Line: line.Number, Error: "is beyond the bound of rows; import the rest by itself"})
		}
		if err := im.line(ctx, &line); err != nil {
			return err
		}
		if line.Ends {
			return nil
		}
		if !im.o.All && (len(im.batch) >= importBatch || im.bytes >= importBatchBytes) {
			if err := im.write(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// fail tells of a row that is wrong.
func (im *importer) fail(out Outcome) error {
	im.sum.Failed++
	if im.o.All {
		if len(im.failed) < maxNews {
			im.failed = append(im.failed, out)
		}
		return nil
	}
	return im.report(out)
}

// line checks a row and puts it into the batch. An error of it is one of the reader's, not of the row.
func (im *importer) line(ctx context.Context, line *Line) error {
	if line.Err != nil {
		if devices.KindOf(line.Err) == devices.Internal {
			return line.Err
		}
		return im.fail(Outcome{Line: line.Number, Error: textOf(line.Err)})
	}
	row, err := im.prepare(ctx, line)
	if err != nil {
		return im.fail(Outcome{Line: line.Number, ID: line.Row.ID.String(), Error: textOf(err)})
	}
	im.batch = append(im.batch, row)
	for i := range row.ops {
		im.bytes += len(row.ops[i].Value)
	}
	return nil
}

// textOf is an error for people, with the member that it is about.
func textOf(err error) string {
	if devices.KindOf(err) == devices.Internal {
		return "could not be kept; see the log of the gateway"
	}
	return err.Error()
}

func (im *importer) prepare(ctx context.Context, line *Line) (*importRow, error) {
	d := line.Row.Device
	now := im.r.nowMS()
	if first, twice := im.seen[d.ID]; twice && !d.ID.IsZero() {
		return nil, devices.Errorf(devices.Invalid, "id", "stands in line %d already", first)
	}
	before, known := im.r.Device(d.ID)
	if known && !im.o.Update {
		return nil, devices.Errorf(devices.Conflict, "id", "is registered already")
	}
	d.Created, d.Updated, d.Auto = now, now, false
	if known {
		d.complete(before)
	}
	if d.Status == "" {
		d.Status = Enabled
	}
	if err := d.Check(); err != nil {
		return nil, err
	}
	secret, err := line.Row.secret()
	if err != nil {
		return nil, err
	}
	if err := im.room(&d, before); err != nil {
		return nil, err
	}
	row := &importRow{line: line.Number, device: d, before: before}
	if !known || !im.r.hasToken(d.ID, secret.TokenHash) {
		row.c = &Credential{Name: d.ID.String(), Kind: ForDevice, Status: Enabled, Created: now, Updated: now}
		if row.token, err = im.r.give(ctx, row.c, secret); err != nil {
			return nil, err
		}
	}
	if row.ops, err = row.makeOps(); err != nil {
		return nil, err
	}
	im.seen[d.ID] = line.Number
	return row, nil
}

// complete takes what a row leaves empty from what there is.
func (d *Device) complete(before *Device) {
	d.Created = before.Created
	d.Name, d.Status = cmp.Or(d.Name, before.Name), cmp.Or(d.Status, before.Status)
	if d.Fleet.IsZero() {
		d.Fleet = before.Fleet
	}
	if d.Limits == nil {
		d.Limits = before.Limits
	}
	if len(before.Metadata) > 0 {
		merged := maps.Clone(before.Metadata)
		maps.Copy(merged, d.Metadata)
		d.Metadata = merged
	}
}

// hasToken tells whether a hash is what is kept of a device's token; none says nothing, and so changes nothing.
func (r *Registry) hasToken(id devices.DeviceID, hash []byte) bool {
	c, _ := r.Credential(id.String())
	return hash == nil || c != nil && bytes.Equal(c.Token, hash)
}

// room counts the row against the bounds of its fleet and of the installation.
func (im *importer) room(d, before *Device) error {
	if before != nil && before.Fleet == d.Fleet {
		return nil
	}
	if im.fleets == nil {
		im.fleets = map[devices.FleetID]int{}
	}
	if err := im.r.place(d.Fleet, im.fleets[d.Fleet]+1); err != nil {
		return err
	}
	im.fleets[d.Fleet]++
	return nil
}

// makeOps are the ops of a row but for its fleet.
func (row *importRow) makeOps() ([]store.Op, error) {
	condition, id := store.Condition{Absent: true}, row.device.ID.String()
	if row.before != nil {
		condition = store.Condition{Revision: row.before.Revision}
	}
	device, err := put(KindDevice, id, &row.device, condition)
	if err != nil {
		return nil, err
	}
	ops := []store.Op{device}
	if row.c != nil {
		condition = store.Condition{Absent: row.before == nil}
		credential, err := put(KindCredential, id, row.c, condition)
		if err != nil {
			return nil, err
		}
		ops = append(ops, credential)
	}
	if row.before == nil {
		ops = append(ops, store.Op{Kind: KindStranger, ID: id})
	}
	return ops, nil
}

// finish writes what is left, or with All everything where nothing is wrong.
func (im *importer) finish(ctx context.Context) error {
	if !im.o.All || im.sum.Failed == 0 {
		return im.write(ctx)
	}
	for _, out := range im.failed {
		if err := im.report(out); err != nil {
			return err
		}
	}
	return nil
}

// write commits the batch in pieces and tells of each row.
func (im *importer) write(ctx context.Context) error {
	batch := im.batch
	im.batch, im.bytes, im.fleets = nil, 0, nil
	for len(batch) > 0 {
		n, size := 0, 0
		for n < len(batch) && n < importBatch && size < importBatchBytes {
			for i := range batch[n].ops {
				size += len(batch[n].ops[i].Value)
			}
			n++
		}
		if err := im.commit(ctx, batch[:n]); err != nil {
			return err
		}
		batch = batch[n:]
	}
	return nil
}

// commit writes rows together. One that somebody else changed meanwhile fails alone.
func (im *importer) commit(ctx context.Context, rows []*importRow) error {
	im.r.changing.Lock()
	defer im.r.changing.Unlock()
	rows = slices.Clone(rows)
	for tries := 0; len(rows) > 0; tries++ {
		ops, err := im.ops(ctx, rows)
		if err != nil {
			return err
		}
		if len(ops) > 0 {
			_, err = im.r.commit(ctx, ops)
		}
		key := overtakenBy(err)
		switch {
		case err == nil:
			return im.told(rows)
		case key == "" || tries > len(ops):
			return err
		}
		i := slices.IndexFunc(rows, func(row *importRow) bool {
			id := row.device.ID.String()
			return key == keyOf(KindDevice, id) || key == keyOf(KindCredential, id)
		})
		if i < 0 {
			continue // a fleet that somebody made: it is there at the next try
		}
		if err := im.fail(Outcome{Line: rows[i].line, ID: rows[i].device.ID.String(), Error: "was changed by somebody else meanwhile"}); err != nil {
			return err
		}
		rows = slices.Delete(rows, i, i+1)
	}
	return nil
}

// ops are those of the rows that change something, and of the fleets that they need.
func (im *importer) ops(ctx context.Context, rows []*importRow) ([]store.Op, error) {
	var ops []store.Op
	made := map[devices.FleetID]bool{}
	for _, row := range rows {
		if row.isUnchanged() {
			continue
		}
		ops = append(ops, row.ops...)
		if made[row.device.Fleet] {
			continue
		}
		made[row.device.Fleet] = true
		fleet, err := im.r.fleetOps(ctx, row.device.Fleet, row.device.Updated)
		if err != nil {
			return nil, err
		}
		ops = append(ops, fleet...)
	}
	return ops, nil
}

func (row *importRow) isUnchanged() bool {
	return row.before != nil && row.c == nil && row.device.equal(row.before)
}

func (im *importer) told(rows []*importRow) error {
	for _, row := range rows {
		out := Outcome{Line: row.line, ID: row.device.ID.String(), Fleet: row.device.Fleet.String(), Token: row.token}
		switch {
		case row.isUnchanged():
			out.Action = "unchanged"
			im.sum.Unchanged++
		case row.before == nil:
			out.Action = "created"
			im.sum.Created++
		default:
			out.Action = "updated"
			im.sum.Updated++
		}
		if err := im.report(out); err != nil {
			return err
		}
	}
	return nil
}
