package api

import (
	"fmt"
	"net/http"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/gateway/problem"
)

// Live are the options that may change while an API serves. A request sees one set of them from its begin to its end.
type Live struct {
	// Proxies say for whom they ask, and are believed.
	Proxies Proxies
	// Origins are those whose pages may read answers here, beside our own; see CheckOrigin.
	Origins []string
	// AccessLog says that every request is logged.
	AccessLog bool
}

// live is a Live ready for use.
type live struct {
	Live
	crossOrigin *http.CrossOriginProtection
}

// SetLive replaces what may change. After an error nothing has changed. It may be called at any time.
func (a *API) SetLive(l Live) error {
	next := &live{l, http.NewCrossOriginProtection()}
	next.crossOrigin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		problem.Write(w, r, devices.Errorf(devices.Forbidden, "", "a page of another site must not change anything here"))
	}))
	for _, origin := range l.Origins {
		if err := CheckOrigin(origin); err != nil {
			return err
		}
		if err := next.crossOrigin.AddTrustedOrigin(origin); err != nil {
			return fmt.Errorf("trust origin: %w", err)
		}
	}
	a.live.Store(next)
	return nil
}

// crossOrigin keeps pages of other sites from changing anything.
func (a *API) crossOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.live.Load().crossOrigin.Handler(next).ServeHTTP(w, r)
	})
}
