package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// Erasing is how what a device said leaves what this process reaches, besides its entry in the registry.
type Erasing struct {
	// Partitions is how many the bus has. Each is told: a device that moved was in others before, with events and commands.
	Partitions int
	// Follow waits until every partition has erased the device.
	Follow func(device devices.DeviceID) Erasure
	// Letters drops the device's dead letters; nil: there are none.
	Letters func(ctx context.Context, device devices.DeviceID) error
	// Configured has what people configure written anew, without what was changed or deleted; nil: nothing of it is left.
	Configured func(ctx context.Context) error
	// Compact has the files of the bus's directory written anew, without what was removed; nil: there is no directory.
	Compact func(ctx context.Context) error
	// Forget deletes a device's readings from the history, and returns how many, and how many files may still be written to;
	// nil: this process writes none.
	Forget func(device devices.DeviceID) (readings, open int, err error)
	// Elsewhere is what this process cannot reach, in words.
	Elsewhere []string
}

// Erasure is one that is under way: the hub's, or a fake.
type Erasure interface {
	Done() <-chan struct{}
	Close()
}

// erasedView says what became of a device.
type erasedView struct {
	ID         devices.DeviceID `json:"id"`
	Registered bool             `json:"registered"` // it was in the registry, or in quarantine
	Live       bool             `json:"live"`       // it had a live state
	Compacted  bool             `json:"compacted"`  // the files of the directory do not have it any more
	Readings   int              `json:"readings_of_history"`
	Remains    []string         `json:"remains"` // what people have to see to, in words
}

// eraseTimeout bounds the wait for the partitions' owners.
const eraseTimeout = 20 * time.Second

// remains is what no erasing reaches.
const remains = "lines of the audit log that name it, answers that are remembered for who sent an Idempotency-Key (for a day), and backups that were made before"

// eraseDevice deletes all that is kept of a device and that can be reached from here, and answers what remains. Who asks again
// gets the same answer with nothing in it: there is nothing to find.
func (a *API) eraseDevice(w http.ResponseWriter, r *http.Request) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	id, err := registered(r)
	if err != nil {
		return err
	}
	done := erasedView{ID: id, Remains: []string{}}
	if err := a.eraseState(r.Context(), &done); err != nil {
		return err
	}
	if err := a.eraseFiles(r.Context(), &done); err != nil {
		return err
	}
	done.Remains = append(append(done.Remains, a.options.Erasing.Elsewhere...), remains)
	a.log.InfoContext(r.Context(), "a device was erased", "registered", done.Registered, "live", done.Live, "compacted", done.Compacted, "readings", done.Readings)
	// A large history takes longer to look through than an answer may take to be taken.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout)) // a writer that has none is a test's
	return writeValue(w, http.StatusOK, &done)
}

// eraseState ends the entry in the registry, and what the partitions hold, and waits until their owners have done so: what is
// written anew before has it still.
func (a *API) eraseState(ctx context.Context, done *erasedView) error {
	ctx, cancel := context.WithTimeout(ctx, eraseTimeout)
	defer cancel()
	if err := a.eraseEntry(ctx, done); err != nil {
		return err
	}
	_, done.Live = a.options.Assets.Fleet(done.ID)
	following := a.options.Erasing.Follow(done.ID)
	defer following.Close()
	entries := make([]bus.Entry, 0, a.options.Erasing.Partitions)
	for _, fleet := range oneOfEach(a.options.Erasing.Partitions) {
		entries = append(entries, bus.Entry{Kind: bus.KindErasure, Device: done.ID, Fleet: fleet})
	}
	if err := a.append(ctx, entries...); err != nil {
		return err
	}
	select {
	case <-following.Done():
	case <-ctx.Done():
		return devices.Errorf(devices.Unavailable, "", "not every partition has said yet that it erased the device; try again")
	}
	if _, again := a.options.Assets.Fleet(done.ID); again {
		return devices.Errorf(devices.Unavailable, "", "the device is erased, and is there again: shut it out, for it goes on speaking, and try again")
	}
	return a.eraseEntry(ctx, done) // one that registered itself by its first words may have come into the registry meanwhile
}

// oneOfEach returns a fleet of each partition. They need not be there: what is erased is the partition's.
func oneOfEach(partitions int) []devices.FleetID {
	out := make([]devices.FleetID, partitions)
	for n, found := 0, 0; found < partitions; n++ {
		fleet, err := devices.ParseFleetID("erase-" + strconv.Itoa(n))
		if at := fleet.Partition(partitions); err == nil && out[at].IsZero() {
			out[at] = fleet
			found++
		}
	}
	return out
}

// eraseEntry ends the entry in the registry or in quarantine.
func (a *API) eraseEntry(ctx context.Context, done *erasedView) error {
	err := a.options.Registry.DeleteDevice(ctx, done.ID, 0)
	if devices.KindOf(err) == devices.NotFound {
		err = a.options.Registry.Reject(ctx, done.ID)
	}
	switch {
	case err == nil:
		done.Registered = true
	case devices.KindOf(err) != devices.NotFound:
		return err
	}
	return nil
}

// eraseFiles takes it out of the files of this process.
func (a *API) eraseFiles(ctx context.Context, done *erasedView) error {
	erasing := &a.options.Erasing
	if erasing.Letters != nil {
		if err := erasing.Letters(ctx, done.ID); err != nil {
			return err
		}
	}
	if erasing.Configured != nil {
		if err := erasing.Configured(ctx); err != nil {
			return fmt.Errorf("forget what was configured: %w", err)
		}
	}
	if erasing.Forget != nil {
		n, open, err := erasing.Forget(done.ID)
		if err != nil {
			return fmt.Errorf("forget history of a device: %w", err)
		}
		if done.Readings = n; open > 0 {
			done.Remains = append(done.Remains, fmt.Sprintf("%d files of the history that another process may still write to: ask again in an hour", open))
		}
	}
	if erasing.Compact != nil {
		if err := erasing.Compact(ctx); err != nil {
			return err
		}
		done.Compacted = true
	}
	return nil
}
