package play

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/fleetcast/fleetcast/simulator/report"
	"github.com/fleetcast/fleetcast/simulator/sseclient"
)

const (
	// DefaultPatience is how long what was acknowledged may take to be there, and viewers to be back.
	DefaultPatience = 20 * time.Second

	auditPause    = 200 * time.Millisecond
	auditExamples = 5
)

var errReady = errors.New("ready")

// audit asks the edge for all assets, until each device is as new as what was acknowledged of it. It is nil where nothing
// was, or nobody is to look.
func (e *engine) audit(ctx context.Context) *report.Audit {
	owed := map[string]int64{}
	for _, d := range e.fleets {
		for _, o := range d.Fleet.Owed() {
			owed[o.ID] = o.At
		}
	}
	if len(owed) == 0 || e.scenario.NoAudit {
		return nil
	}
	began := time.Now()
	a := &report.Audit{Owed: len(owed)}
	for {
		err := e.look(ctx, owed)
		if len(owed) == 0 || time.Since(began) > e.options.Patience || !after(ctx, auditPause) {
			if err != nil && len(owed) > 0 {
				a.Of = append(a.Of, err.Error())
			}
			break
		}
	}
	a.Missing, a.Kept, a.Seconds = len(owed), a.Owed-len(owed), time.Since(began).Seconds()
	for id, at := range owed {
		if len(a.Of) < auditExamples {
			a.Of = append(a.Of, fmt.Sprintf("%s is older than %s, which was acknowledged", id, time.UnixMilli(at).UTC().Format(time.RFC3339Nano)))
		}
	}
	return a
}

// look reads one snapshot and strikes out what is there.
func (e *engine) look(ctx context.Context, owed map[string]int64) error {
	ctx, cancel := context.WithTimeout(ctx, e.options.Patience)
	defer cancel()
	query := url.Values{"fields": {"at"}}
	client, err := sseclient.New(sseclient.Options{
		URL: e.installation.fill(usualEdge) + usualPath + "?" + query.Encode(), Header: e.options.Header, TLS: e.installation.trust,
		OnEvent: func(event sseclient.Event, _ time.Time) error {
			if event.Type == "ready" {
				return errReady
			}
			var asset struct {
				ID string `json:"id"`
				At int64  `json:"at"`
			}
			if event.Type == "" && json.Unmarshal(event.Data, &asset) == nil {
				if at, ok := owed[asset.ID]; ok && asset.At >= at {
					delete(owed, asset.ID)
				}
			}
			return nil
		},
	})
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	if err := client.Run(ctx); err != nil && !errors.Is(err, errReady) {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}
