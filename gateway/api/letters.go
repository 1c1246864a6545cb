package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// DeadLetters is what doors did not understand: of the door of this process or of all, or a fake.
type DeadLetters interface {
	// Reasons are those that there are.
	Reasons() []string
	// Letters returns the last of some reasons, in no order.
	Letters(ctx context.Context, reasons []string) ([]devices.DeadLetter, error)
}

// Bounds of a list of dead letters.
const (
	defaultLetters = 100
	maxLetters     = 1000
	lettersBound   = 5 * time.Second
)

// deadLetters answers {"dead_letters":[…]}, the newest first.
func (a *API) deadLetters(w http.ResponseWriter, r *http.Request) error {
	values, err := parseQuery(r, "reason", "limit")
	if err != nil {
		return err
	}
	reasons, limit := a.options.DeadLetters.Reasons(), defaultLetters
	if values.Has("reason") {
		if !slices.Contains(reasons, values.Get("reason")) {
			return devices.Errorf(devices.Invalid, "reason", "is none of %s", strings.Join(reasons, ", "))
		}
		reasons = []string{values.Get("reason")}
	}
	if values.Has("limit") {
		n, err := strconv.ParseUint(values.Get("limit"), 10, 32)
		if err != nil || n < 1 || n > maxLetters {
			return devices.Errorf(devices.Invalid, "limit", "is no whole number from 1 to %d", maxLetters)
		}
		limit = int(n)
	}
	ctx, cancel := context.WithTimeout(r.Context(), lettersBound)
	defer cancel()
	letters, err := a.options.DeadLetters.Letters(ctx, reasons)
	if err != nil {
		return &devices.Error{Kind: devices.Unavailable, Detail: "the dead letters could not be read; try again", Err: err}
	}
	slices.SortStableFunc(letters, func(a, b devices.DeadLetter) int { return cmp.Compare(b.At, a.At) })
	body := []byte(`{"dead_letters":[`)
	for i := range letters[:min(limit, len(letters))] {
		if i > 0 {
			body = append(body, ',')
		}
		body = letters[i].AppendJSON(body)
	}
	writeJSON(w, http.StatusOK, append(body, "]}"...))
	return nil
}
