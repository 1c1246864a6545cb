package api

import (
	"context"
	"net/http"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/gateway/auth"
	"github.com/fleetcast/fleetcast/sse"
)

// identified is what the proof of a request came to.
type identified struct {
	caller devices.Caller
	err    error
}

type identifiedKey struct{}

// openCaller is everybody where nobody is asked who they are: who reaches a loopback port can read the data directory.
var openCaller = devices.Caller{Subject: "local", Role: devices.Admin, Scope: devices.AllFleets()}

// identify looks at a request's proof, once. What a missing or a wrong one means is for the route to say.
func (a *API) identify(next http.Handler) http.Handler {
	if a.options.Auth == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var who identified
		if who.caller, who.err = a.options.Auth.Identify(r); who.err == nil {
			noteCaller(r, who.caller.Subject)
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), identifiedKey{}, &who)))
	})
}

// callerOf is who asks. Without a proof that holds it is nobody, who may nothing.
func (a *API) callerOf(r *http.Request) (devices.Caller, error) {
	if a.options.Auth == nil {
		return openCaller, nil
	}
	who, ok := r.Context().Value(identifiedKey{}).(*identified)
	if !ok {
		return devices.Caller{}, devices.Errorf(devices.Internal, "", "a route is not behind identify")
	}
	return who.caller, who.err
}

type handlerFunc = func(http.ResponseWriter, *http.Request) error

// callerHandler is a handler that is told who asks.
type callerHandler = func(http.ResponseWriter, *http.Request, *devices.Caller) error

// need is what a route needs of a caller.
type need struct {
	role devices.Role
	all  bool // every fleet: it shows or changes what belongs to none, or to several
}

// guard lets a caller through who has what the route needs. It is the one place where that is asked; which of the fleets
// in a caller's scope a request touches is each handler's to ask.
func (a *API) guard(n need, f callerHandler) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		c, err := a.callerOf(r)
		switch {
		case err != nil:
			return err
		case !c.May(n.role):
			return devices.Errorf(devices.Forbidden, "", "this needs the role %s", n.role)
		case n.all && !c.Scope.IsAll():
			return devices.Errorf(devices.Forbidden, "", "this needs a proof for all fleets")
		}
		return f(w, r, &c)
	}
}

// plain is a handler that does not care who asks, once they were let through.
func plain(f handlerFunc) callerHandler {
	return func(w http.ResponseWriter, r *http.Request, _ *devices.Caller) error { return f(w, r) }
}

// AdmitStream says what of the fleets a stream's request may see: by its ticket where it has one, else as any request;
// and whether its caller may open one more.
func AdmitStream(people *auth.Authority, limits *Limiter) func(http.ResponseWriter, *http.Request) (sse.Admission, error) {
	if people == nil {
		return func(_ http.ResponseWriter, r *http.Request) (sse.Admission, error) {
			_, err := limits.allow(nil, r, &openCaller)
			return sse.Admission{Caller: &openCaller}, err
		}
	}
	return func(w http.ResponseWriter, r *http.Request) (sse.Admission, error) {
		caller, err := streamCaller(people, w, r)
		if err != nil {
			if _, tooMany := limits.allow(nil, r, nil); tooMany != nil {
				err = tooMany // who guesses at tickets is not even told that they are wrong
			}
			return sse.Admission{}, err
		}
		noteCaller(r, caller.Subject)
		if !caller.May(devices.Viewer) {
			return sse.Admission{}, devices.Errorf(devices.Forbidden, "", "this needs the role %s", devices.Viewer)
		}
		begin, err := limits.admit(r, &caller)
		if err != nil {
			return sse.Admission{}, err
		}
		return sse.Admission{Caller: &caller, Watch: func(end func()) func() {
			over, unwatch := begin(), people.Watch(&caller, end)
			return func() {
				unwatch()
				over()
			}
		}}, nil
	}
}

func streamCaller(people *auth.Authority, w http.ResponseWriter, r *http.Request) (devices.Caller, error) {
	ticket := r.URL.Query().Get(auth.TicketParameter)
	if ticket == "" {
		return people.Identify(r)
	}
	caller, cookie, err := people.ByTicket(r.Context(), r, ticket)
	if cookie != nil {
		http.SetCookie(w, cookie)
	}
	return caller, err
}
