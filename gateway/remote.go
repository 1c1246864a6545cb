package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/gateway/app"
)

// remoteTimeout bounds a command's request: longer than the gateway takes for any but an import.
const (
	remoteTimeout = time.Minute
	importTimeout = 6 * time.Minute
	// maxAnswer bounds what is read of an answer that is shown as a whole.
	maxAnswer = 16 << 20
)

// remote is a running gateway, as the commands that change it reach it.
type remote struct {
	Server  string `help:"Where the gateway's HTTP is." default:"http://127.0.0.1:8080" env:"FLEETCAST_SERVER" placeholder:"URL"`
	DataDir string `help:"Data directory of a gateway on this machine: the command line then is its admin." default:"./data" env:"FLEETCAST_DATA_DIR" placeholder:"DIR"`
	CAFile  string `name:"ca-file" help:"PEM file with the authority of the gateway's certificate, where the system does not know it." env:"FLEETCAST_CA_FILE" placeholder:"FILE"`
	// A proof is no flag: other users of the machine see those.
	Token string `kong:"-"`
}

// proof is what the command shows: FLEETCAST_TOKEN, which may be file:PATH, else what a gateway of this machine left in its data directory. That
// is shown to this machine only: a directory that somebody else's gateway may write leads to nobody else.
func (r *remote) proof(target *url.URL) (string, error) {
	if r.Token != "" {
		return r.Token, nil
	}
	if token := os.Getenv("FLEETCAST_TOKEN"); token != "" {
		return app.Secret(token)
	}
	if host := target.Hostname(); host != "localhost" {
		if addr, err := netip.ParseAddr(host); err != nil || !addr.IsLoopback() {
			return "", nil //nolint:nilerr // a name is of another machine, and that is no error
		}
	}
	text, err := os.ReadFile(filepath.Join(r.DataDir, "admin.token"))
	if err != nil {
		return "", nil //nolint:nilerr // in open mode there is none, and none is needed
	}
	return strings.TrimSpace(string(text)), nil
}

// send makes a request and returns the answer, whose body the caller closes. An answer that says no is an error with the
// gateway's own words.
func (r *remote) send(ctx context.Context, method, path string, query url.Values, contentType string, body io.Reader) (*http.Response, error) {
	target := strings.TrimSuffix(r.Server, "/") + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, devices.Errorf(devices.Invalid, "server", "is no URL of a gateway")
	}
	if body != nil {
		req.Header.Set("Content-Type", contentType)
	}
	proof, err := r.proof(req.URL)
	if err != nil {
		return nil, fmt.Errorf("FLEETCAST_TOKEN: %w", err)
	}
	if proof != "" {
		req.Header.Set("Authorization", "Bearer "+proof)
	}
	transport, err := r.transport()
	if err != nil {
		return nil, err
	}
	client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the gateway: %w", err)
	}
	if res.StatusCode < 300 {
		return res, nil
	}
	defer res.Body.Close()
	return nil, refusal(res)
}

// transport trusts what the system trusts, and the authority that is named.
func (r *remote) transport() (http.RoundTripper, error) {
	if r.CAFile == "" {
		return http.DefaultTransport, nil
	}
	pem, err := os.ReadFile(r.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read authority: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, devices.Errorf(devices.Invalid, "ca-file", "holds no certificate")
	}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
	}, nil
}

// refusal reads the problem (RFC 9457) that an answer is.
func refusal(res *http.Response) error {
	var p struct{ Detail, Title string }
	text, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil || json.Unmarshal(text, &p) != nil || p.Title == "" {
		return &refusedError{res.StatusCode, "the gateway answers " + res.Status}
	}
	if p.Detail == "" {
		p.Detail = p.Title
	}
	return &refusedError{res.StatusCode, "the gateway refuses: " + p.Detail}
}

// refusedError is an answer that says no.
type refusedError struct {
	status int
	text   string
}

func (e *refusedError) Error() string { return e.text }

// call sends v as JSON, where there is one, and decodes the answer into out, where there is one.
func (r *remote) call(ctx context.Context, method, path string, query url.Values, v, out any) error {
	ctx, cancel := context.WithTimeout(ctx, remoteTimeout)
	defer cancel()
	var body io.Reader
	if v != nil {
		b, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	res, err := r.send(ctx, method, path, query, "application/json", body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if out == nil || res.StatusCode == http.StatusNoContent {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(out); err != nil {
		return fmt.Errorf("read the gateway's answer: %w", err)
	}
	return nil
}

// pages calls each for every item of a list, page by page.
func (r *remote) pages(ctx context.Context, path, member string, query url.Values, each func(item json.RawMessage) error) error {
	query.Set("limit", "1000")
	for {
		var page map[string]json.RawMessage
		if err := r.call(ctx, http.MethodGet, path, query, nil, &page); err != nil {
			return err
		}
		var items []json.RawMessage
		if err := json.Unmarshal(page[member], &items); err != nil {
			return fmt.Errorf("read the gateway's answer: %w", err)
		}
		for _, item := range items {
			if err := each(item); err != nil {
				return err
			}
		}
		var next string
		if len(page["next"]) == 0 {
			return nil
		}
		if err := json.Unmarshal(page["next"], &next); err != nil {
			return fmt.Errorf("read the gateway's answer: %w", err)
		}
		query.Set("after", next)
	}
}

// show writes a value that the gateway gave: as it is, or for people.
func show(t *terminal, asJSON bool, value json.RawMessage, people func() string) error {
	text := string(value)
	if !asJSON {
		text = people()
	}
	_, err := fmt.Fprintln(t.out, text)
	return err
}
