package api

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// appendTimeout bounds how long a person waits for the bus.
const appendTimeout = 5 * time.Second

// listAssets answers {"assets":[…],"next":"…"}: a page of assets, each as the stream has it. next is there where
// more follow, and is the after of the next page.
func (a *API) listAssets(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	q, err := parseAssets(r, DefaultLimit, MaxLimit, "sort")
	if err != nil {
		return err
	}
	frames, next, err := a.assetsOf(r, c, q)
	if err != nil {
		return err
	}
	size := len(next) + 64
	for _, frame := range frames {
		size += len(frame) + 1
	}
	body := append(make([]byte, 0, size), `{"assets":[`...)
	for i, frame := range frames {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, frame...)
	}
	body = append(body, ']')
	if next != "" {
		body = devices.AppendJSONString(append(body, `,"next":`...), next)
	}
	writeJSON(w, http.StatusOK, append(body, '}'))
	return nil
}

// fleetSeen is the fleet of an asset that the caller may see. Of another's it says what it says of none.
func (a *API) fleetSeen(c *devices.Caller, id devices.DeviceID) (devices.FleetID, error) {
	fleet, ok := a.options.Assets.Fleet(id)
	if !ok || !c.Scope.Sees(fleet) {
		return devices.FleetID{}, errNoAsset
	}
	return fleet, nil
}

func (a *API) oneAsset(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	id, err := deviceOf(r)
	if err != nil {
		return err
	}
	if _, err := a.fleetSeen(c, id); err != nil {
		return err
	}
	frame, ok := a.options.Assets.Asset(id)
	if !ok {
		return errNoAsset
	}
	writeJSON(w, http.StatusOK, frame)
	return nil
}

// removeAsset asks the owner of the device's partition to remove its live state. That it did is seen as `removed` in the
// stream; a device that goes on sending comes back.
func (a *API) removeAsset(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	id, err := deviceOf(r)
	if err != nil {
		return err
	}
	fleet, err := a.fleetSeen(c, id)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), appendTimeout)
	defer cancel()
	if err := a.append(ctx, bus.Entry{Kind: bus.KindRemoval, Device: id, Fleet: fleet}); err != nil {
		return err
	}
	body := devices.AppendJSONString([]byte(`{"id":`), id.String())
	body = devices.AppendJSONString(append(body, `,"fleet":`...), fleet.String())
	writeJSON(w, http.StatusAccepted, append(body, '}'))
	return nil
}

// append gives the entry to the inlet. One at a time: the bus takes an Append whose number is not above the last for one
// that it has. Who waits gives up with ctx.
func (a *API) append(ctx context.Context, entries ...bus.Entry) error {
	select {
	case a.appending <- struct{}{}:
		defer func() { <-a.appending }()
	case <-ctx.Done():
		return busAway(ctx.Err())
	}
	err := a.options.Inlet.Append(ctx, bus.Append{Door: a.door, Seq: a.seq.Add(1), Entries: entries})
	if err != nil && devices.KindOf(err) == devices.Internal {
		return busAway(err)
	}
	return err
}

func busAway(err error) error {
	return &devices.Error{Kind: devices.Unavailable, Detail: "the bus did not take it in time; try again", Err: err}
}

var errNoAsset = devices.Errorf(devices.NotFound, "", "there is no such asset")

// deviceOf reads the id at the end of the path. It is decoded once and from the escaped path: the router matches, and
// would hand over, the escaped or the decoded form depending on what the id holds, and "%2541" must be "%41" and not "A".
// What cannot be an id is not found.
func deviceOf(r *http.Request) (devices.DeviceID, error) {
	const prefix = "/api/assets/"
	escaped, _ := strings.CutPrefix(r.URL.EscapedPath(), prefix)
	name, err := url.PathUnescape(escaped)
	if err != nil {
		return devices.DeviceID{}, errNoAsset
	}
	id, err := devices.ParseDeviceID(name)
	if err != nil {
		return devices.DeviceID{}, errNoAsset
	}
	return id, nil
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) //nolint:gosec // JSON whose strings hold no markup, sent as JSON and nosniff; a client that is gone needs no answer
}
