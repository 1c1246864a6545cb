package app

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/registry"
	"github.com/fleetcast/fleetcast/devices/rulebook"
	"github.com/fleetcast/fleetcast/devices/secret"
	config "github.com/fleetcast/fleetcast/devices/store"
	"github.com/fleetcast/fleetcast/devices/trace"
	"github.com/fleetcast/fleetcast/gateway/api"
	"github.com/fleetcast/fleetcast/gateway/audit"
	"github.com/fleetcast/fleetcast/gateway/auth"
	"github.com/fleetcast/fleetcast/gateway/webhook"
)

// PeopleOptions are who may look and act over HTTP.
type PeopleOptions struct {
	Viewer       AuthMode      `name:"viewer-auth" help:"Whether people and programs must show who they are over HTTP (${enum}). Without it only loopback addresses are served." enum:"open,required" default:"${viewer_auth}"`
	SessionTTL   time.Duration `name:"session-ttl" help:"How long who signed in stays so." default:"${session_ttl}"`
	PublicURL    string        `name:"public-url" help:"Where people reach this gateway, such as https://fleet.example.org. With https, cookies are for https only." placeholder:"URL"`
	JWKSURL      string        `name:"jwks-url" help:"Where an identity provider publishes the keys (JWKS, by https) of tokens that are taken for proofs. They name role (viewer, operator or admin) and fleets, or all_fleets." placeholder:"URL"`
	JWKSIssuer   string        `name:"jwks-issuer" help:"Issuer that those tokens must name." placeholder:"NAME"`
	JWKSAudience string        `name:"jwks-audience" help:"Audience that those tokens must name." placeholder:"NAME"`
	JWTKeys      []string      `name:"viewer-jwt-key" help:"Key of tokens that a server of yours signs for its people: KID:ALGORITHM:FILE, with EdDSA, ES256 or RS256 and a public key in PEM, or HS256 and the secret. They name the same." placeholder:"KID:ALG:FILE"`
	JWTIssuer    string        `name:"viewer-jwt-issuer" help:"Issuer that those tokens must name." placeholder:"NAME"`
	JWTAudience  string        `name:"viewer-jwt-audience" help:"Audience that those tokens must name." placeholder:"NAME"`
}

// requiresViewers tells whether people must show who they are.
func (o *Options) requiresViewers() bool { return o.People.Viewer == AuthRequired }

func (o *Options) checkPeople() error {
	p := &o.People
	if p.SessionTTL < time.Minute || p.SessionTTL > auth.MaxSessionTTL {
		return devices.Errorf(devices.Invalid, "session-ttl", "is %v; it is from 1m to %v", p.SessionTTL, auth.MaxSessionTTL)
	}
	if p.PublicURL != "" {
		u, err := url.Parse(p.PublicURL)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return devices.Errorf(devices.Invalid, "public-url", "%q is no plain http or https URL", p.PublicURL)
		}
	}
	switch {
	case p.JWKSURL != "" && (p.JWKSIssuer == "" || p.JWKSAudience == ""):
		return devices.Errorf(devices.Invalid, "jwks-url", "needs jwks-issuer and jwks-audience")
	case p.JWKSURL == "" && (p.JWKSIssuer != "" || p.JWKSAudience != ""):
		return devices.Errorf(devices.Invalid, "jwks-issuer", "is of no use without jwks-url")
	case len(p.JWTKeys) > 0 && (p.JWTIssuer == "" || p.JWTAudience == ""):
		return devices.Errorf(devices.Invalid, "viewer-jwt-key", "needs viewer-jwt-issuer and viewer-jwt-audience")
	case len(p.JWTKeys) == 0 && (p.JWTIssuer != "" || p.JWTAudience != ""):
		return devices.Errorf(devices.Invalid, "viewer-jwt-issuer", "is of no use without viewer-jwt-key")
	}
	if err := o.checkHTTPCerts(); err != nil {
		return err
	}
	return o.checkHTTPListen()
}

// pageHosts are the host names whose pages may open a WebSocket.
func (o *Options) pageHosts() []string {
	hosts := slices.Clone(o.HTTP.Hosts)
	if u, err := url.Parse(o.People.PublicURL); err == nil && u.Host != "" {
		hosts = append(hosts, u.Hostname())
	}
	return hosts
}

// checkHTTPListen refuses an address that other machines could reach unless people have to show who they are.
func (o *Options) checkHTTPListen() error {
	if !o.requiresViewers() {
		return checkLoopback("http-listen", o.HTTP.Listen)
	}
	return checkAddress("http-listen", o.HTTP.Listen)
}

// localTokenFile is where the command line of this machine finds what it shows. It is readable by its owner only, as is
// the directory.
const localTokenFile = "admin.token"

// writeLocalToken makes the token of this run.
func (o *Options) writeLocalToken() (string, error) {
	if o.keepsNothing() || o.Store.Redis != "" {
		return "", nil // there is no directory; a key, or the first admin, does what this would
	}
	token, _ := secret.NewToken()
	path := filepath.Join(o.dataDir(), localTokenFile)
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) { // its mode may be anything
		return "", fmt.Errorf("write local token: %w", err)
	}
	if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write local token: %w", err)
	}
	return token, nil
}

// jwtLeeway is what clocks may differ.
const jwtLeeway = time.Minute

// jwt reads the keys of tokens that others sign.
func (p *PeopleOptions) jwt() (secret.JWTOptions, error) {
	keys, err := readJWTKeys("viewer-jwt-key", p.JWTKeys)
	return secret.JWTOptions{Keys: keys, Issuer: p.JWTIssuer, Audience: p.JWTAudience, Leeway: jwtLeeway}, err
}

// known are those of whom the store knows: devices, and people.
type known struct {
	people  *registry.Registry
	rules   *rulebook.Book
	hooks   *webhook.Sender
	viewers *auth.Authority
	audit   *audit.Log
	repeats *api.Repeats
	tracer  *trace.Tracer
	forget  func(context.Context) error // as configStore's
}

// auditLog is where an edge keeps who did what; nil in other processes.
func (a *App) auditLog() *audit.Log {
	if !a.opts.roles().Has(RoleEdge) {
		return nil
	}
	return audit.New(a.config.Load(), 0, a.log.With("part", "audit"))
}

// newRepeats remembers requests by their keys where people make some; nil elsewhere.
func (a *App) newRepeats() *api.Repeats {
	kept := a.config.Load()
	if kept == nil || !a.opts.roles().Has(RoleEdge) {
		return nil
	}
	return api.NewRepeats(kept, a.log.With("part", "api"))
}

// authOptions are how who asks is known.
func (o *Options) authOptions(kept config.Store, local string, log *slog.Logger) (auth.Options, error) {
	options := auth.Options{Store: kept, LocalToken: local, SessionTTL: o.People.SessionTTL, Logger: log, SecureCookies: o.byHTTPS()}
	var err error
	if options.JWT, err = o.People.jwt(); err != nil {
		return options, err
	}
	if o.People.JWKSURL != "" {
		options.JWKS = []auth.JWKSOptions{{URL: o.People.JWKSURL, Issuer: o.People.JWKSIssuer, Audience: o.People.JWKSAudience, Leeway: jwtLeeway}}
	}
	return options, nil
}

// startPeople follows who may ask; nil in open mode.
func (a *App) startPeople(ctx context.Context, kept config.Store) (*auth.Authority, error) {
	o := &a.opts
	if !o.requiresViewers() {
		return nil, nil
	}
	local, err := o.writeLocalToken()
	if err != nil {
		return nil, err
	}
	options, err := o.authOptions(kept, local, a.log.With("part", "auth"))
	if err != nil {
		return nil, err
	}
	people, err := auth.New(options)
	if err != nil {
		return nil, err
	}
	a.stack.push("auth", hubBound, a.runner.start(context.WithoutCancel(ctx), "auth", people.Run))
	loading, cancel := context.WithTimeout(ctx, loadBound)
	defer cancel()
	if err := people.Wait(loading); err != nil {
		a.log.WarnContext(ctx, "who may ask is not loaded yet; everybody waits for it", "error", err)
	}
	return people, nil
}

// setupLink is the one-time link for the first admin; "" where there is somebody already, or the store is away.
func (a *App) setupLink(ctx context.Context) string {
	if a.parts.viewers == nil || !a.opts.roles().Has(RoleEdge) {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, loadBound)
	defer cancel()
	proof, err := a.parts.viewers.NewSetup(ctx)
	if err != nil {
		a.log.WarnContext(ctx, "there is no link for the first admin", "error", err)
	}
	if proof == "" {
		return ""
	}
	o := &a.opts
	base := o.People.PublicURL
	if base == "" {
		base = o.scheme() + "://" + a.addrs.HTTP.String()
	}
	return base + "/#setup=" + proof // behind '#' it reaches no log
}
