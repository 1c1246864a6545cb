package prove

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Bounds of a request.
const (
	requestTimeout = 5 * time.Second
	maxAnswer      = 64 << 10
)

// get asks an edge and returns the status and what came.
func get(ctx context.Context, client *http.Client, header http.Header, address string) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, nil, fmt.Errorf("ask edge: %w", err)
	}
	if header != nil {
		request.Header = header.Clone()
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, fmt.Errorf("ask edge: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return 0, nil, fmt.Errorf("read answer: %w", err)
	}
	return response.StatusCode, body, nil
}

// isReady tells whether every edge says that it is ready.
func (r *run) isReady(ctx context.Context) bool {
	client := newClient(r.options.TLS)
	defer client.CloseIdleConnections()
	for _, base := range r.options.URLs {
		if status, _, err := get(ctx, client, r.options.Header, base+"/readyz"); err != nil || status != http.StatusOK {
			return false
		}
	}
	return true
}

func newClient(trust *tls.Config) *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: trust.Clone()}}
}

// readAssets asks an edge for each device that is still owed something and updates held, which says what is known of each.
func (r *run) readAssets(ctx context.Context, base string, owed, held []uint32) error {
	client := newClient(r.options.TLS)
	defer client.CloseIdleConnections()
	era, ok := r.eras.enter()
	if !ok {
		return errBusy
	}
	for d := range owed {
		if owed[d] <= held[d] {
			continue
		}
		status, body, err := get(ctx, client, r.options.Header, base+"/api/assets/"+url.PathEscape(r.names.id(d)))
		switch {
		case err != nil:
			return err
		case status == http.StatusNotFound:
			continue
		case status != http.StatusOK:
			return fmt.Errorf("asset of device %d: status %d", d, status)
		}
		device, s, ours, err := r.names.parseAsset(body, len(owed))
		if err != nil || !ours || device != d {
			r.ledger.Breach(Malformed, "GET asset of device %d: %v", d, err)
			continue
		}
		if r.eras.is(era) {
			r.ledger.Read("GET", d, s, era)
		}
		held[d] = max(held[d], s.Seq)
	}
	return nil
}
