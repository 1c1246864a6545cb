package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/store"
)

// TicketParameter is the parameter of a stream's URL that holds a ticket.
const TicketParameter = "ticket"

// ticketCookie is set with a ticket's first use, for the path of streams: a browser reconnects with the same URL, and by
// the cookie it is known to be the one that used the ticket.
const (
	ticketCookie = "fleetcast_stream"
	streamPath   = "/stream"
)

// ticketClaims are what a ticket says: whose proof it stands for and what it opens.
type ticketClaims struct {
	claims
	Proof  string `json:"proof"`
	Filter string `json:"filter"` // hash of the stream's path and parameters
	Until  int64  `json:"until"`  // when the caller's own proof ends, unix ms; 0: never
}

// SignTicket makes a ticket for one stream of the caller's: path and query of its URL, without the ticket itself. It is
// to be used within TicketTTL.
func (a *Authority) SignTicket(ctx context.Context, c *devices.Caller, path, query string) (string, error) {
	if path != streamPath && !strings.HasPrefix(path, streamPath+"/") {
		return "", devices.Errorf(devices.Invalid, "url", "is not that of a stream")
	}
	filter, err := filterOf(path, query)
	if err != nil {
		return "", err
	}
	now := a.o.Now()
	t := ticketClaims{
		claims: claims{
			RegisteredClaims: jwt.RegisteredClaims{
				Issuer: issuer, Audience: jwt.ClaimStrings{ticketAudience}, Subject: c.Subject, ID: newName(16),
				IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(MaxSessionTTL)),
			},
			// A ticket opens streams and nothing else, whatever its caller may.
			Role: min(c.Role, devices.Viewer), Fleets: c.Scope.Fleets(), AllFleets: c.Scope.IsAll(),
		},
		Proof: c.Proof, Filter: filter,
	}
	if !c.Expires.IsZero() {
		t.Until = c.Expires.UnixMilli()
		t.ExpiresAt = jwt.NewNumericDate(c.Expires)
	}
	a.counts.tickets.Add(1)
	return a.sign(ctx, &t)
}

// filterOf sums up what a stream's URL asks for. A client that reconnects adds where it was.
func filterOf(path, query string) (string, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return "", devices.Errorf(devices.Invalid, "url", "has a query that is not well encoded")
	}
	values.Del(TicketParameter)
	values.Del("last_event_id")
	for _, list := range values {
		slices.Sort(list)
	}
	sum := sha256.Sum256([]byte(path + "?" + values.Encode()))
	return hex.EncodeToString(sum[:16]), nil
}

// ByTicket says who opens a stream with a ticket, and the cookie to set where it is the first time. A ticket is used
// once, by anybody; from then on by who has the cookie of the first use, or says where they were, until the proof ends
// that it stands for. So an EventSource that reconnects is not ended by a spent ticket.
func (a *Authority) ByTicket(ctx context.Context, r *http.Request, ticket string) (devices.Caller, *http.Cookie, error) {
	if !a.Ready() {
		return devices.Caller{}, nil, errNotLoaded
	}
	var t ticketClaims
	if len(ticket) > maxProofBytes || !a.verifyOwn(ticket, ticketAudience, &t) {
		return a.spent()
	}
	filter, err := filterOf(r.URL.Path, r.URL.RawQuery)
	g, ok := t.grant()
	if err != nil || !ok || filter != t.Filter {
		return a.spent()
	}
	c := devices.Caller{Subject: t.Subject, Role: g.Role, Scope: g.Scope(), Expires: t.ExpiresAt.Time, Proof: t.Proof}
	if !a.Holds(&c) {
		return a.spent()
	}
	mark, err := a.markOf(ctx, t.ID)
	if err != nil {
		return devices.Caller{}, nil, err
	}
	if a.wasUsed(t.ID) {
		return a.again(r, c, mark)
	}
	if a.o.Now().After(t.IssuedAt.Add(TicketTTL)) {
		return a.spent()
	}
	err = a.commit(ctx, store.Op{Kind: KindTicket, ID: t.ID, Value: encode(until{t.ExpiresAt.UnixMilli()}), If: store.Condition{Absent: true}})
	if devices.KindOf(err) == devices.Conflict { // somebody was faster
		return a.again(r, c, mark)
	}
	cookie := &http.Cookie{ //nolint:gosec // Secure where people come by https; on loopback they do not
		Name: ticketCookie, Value: mark, Path: streamPath, HttpOnly: true, Secure: a.o.SecureCookies, SameSite: http.SameSiteStrictMode,
	}
	return c, cookie, err
}

// again lets in who used the ticket before.
func (a *Authority) again(r *http.Request, c devices.Caller, mark string) (devices.Caller, *http.Cookie, error) {
	for _, cookie := range r.CookiesNamed(ticketCookie) {
		if hmac.Equal([]byte(cookie.Value), []byte(mark)) {
			return c, nil, nil
		}
	}
	if r.Header.Get("Last-Event-ID") != "" || r.URL.Query().Get("last_event_id") != "" {
		return c, nil, nil
	}
	return a.spent()
}

func (a *Authority) spent() (devices.Caller, *http.Cookie, error) {
	a.counts.spent.Add(1)
	return devices.Caller{}, nil, errWho
}

func (a *Authority) wasUsed(id string) bool {
	a.dir.mu.RLock()
	defer a.dir.mu.RUnlock()
	_, used := a.dir.tickets[id]
	return used
}

// markOf is what the cookie of a ticket's first use holds: nobody can make it who has only the ticket.
func (a *Authority) markOf(ctx context.Context, id string) (string, error) {
	_, key, err := a.signingKey(ctx)
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("stream cookie\x00" + id))
	return hex.EncodeToString(mac.Sum(nil)), nil
}
