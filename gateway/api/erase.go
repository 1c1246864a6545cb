package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// Erasing is how what a device said leaves what this process keeps, besides its state and its entry in the registry.
type Erasing struct {
	// Compact has the files of the directory written anew, without what was removed; nil: there is no directory.
	Compact func(ctx context.Context) error
	// Forget deletes a device's readings from the history, and returns how many, and how many files may still be written to;
	// nil: this process writes none.
	Forget func(device devices.DeviceID) (readings, open int, err error)
	// Elsewhere is what this process cannot reach, in words.
	Elsewhere []string
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

// eraseTimeout bounds the wait for the device's owner; eraseLook is how often it is looked at.
const (
	eraseTimeout = 30 * time.Second
	eraseLook    = 50 * time.Millisecond
)

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
	done.Remains = append(done.Remains, a.options.Erasing.Elsewhere...)
	done.Remains = append(done.Remains, "lines of the audit log that name it, commands and ended alerts until they are pruned, and backups that were made before")
	a.log.InfoContext(r.Context(), "a device was erased", "registered", done.Registered, "live", done.Live, "compacted", done.Compacted, "readings", done.Readings)
	// A large history takes longer to look through than an answer may take to be taken.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout)) // a writer that has none is a test's
	return writeValue(w, http.StatusOK, &done)
}

// eraseState ends the entry in the registry and the live state, and waits until the owner has done so: what is written anew
// before has it still.
func (a *API) eraseState(ctx context.Context, done *erasedView) error {
	ctx, cancel := context.WithTimeout(ctx, eraseTimeout)
	defer cancel()
	if err := a.eraseEntry(ctx, done); err != nil {
		return err
	}
	fleet, live := a.options.Assets.Fleet(done.ID)
	if done.Live = live; live {
		if err := a.append(ctx, bus.Entry{Kind: bus.KindRemoval, Device: done.ID, Fleet: fleet}); err != nil {
			return err
		}
	}
	look := time.NewTicker(eraseLook)
	defer look.Stop()
	for live {
		select {
		case <-look.C:
			_, live = a.options.Assets.Fleet(done.ID)
		case <-ctx.Done():
			return devices.Errorf(devices.Unavailable, "", "the device is deleted, and is there again or still: shut it out, for it may go on speaking, and try again")
		}
	}
	return a.eraseEntry(ctx, done) // one that registered itself by its first words may have come into the registry meanwhile
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
