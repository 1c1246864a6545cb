package app

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/fleetcast/fleetcast/devices"
)

// secured is a gateway over TLS with a certificate for 127.0.0.1 and fleet.example.org.
type secured struct {
	*gateway
	ca     *authority
	client *http.Client
}

func serverCertificate() *x509.Certificate {
	return &x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"fleet.example.org"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
}

func startSecured(t *testing.T, change ...func(*Options)) *secured {
	t.Helper()
	ca := newAuthority(t, "ca")
	ca.sign("server", serverCertificate())
	g := startGateway(t, append(change, func(o *Options) { o.HTTP.Cert, o.HTTP.Key = ca.file("server.crt"), ca.file("server.key") })...)
	s := &secured{gateway: g, ca: ca}
	s.client = s.newClient(t, nil)
	return s
}

// newClient returns a client with connections of its own.
func (s *secured) newClient(t *testing.T, change func(*http.Transport)) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(s.ca.cert)
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS10}}
	if change != nil {
		change(transport)
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func (s *secured) get(t *testing.T, client *http.Client, path string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+s.Addrs().HTTP.String()+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		t.Cleanup(func() { res.Body.Close() })
		return answer{Response: res}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res, body}
}

func TestTheHTTPPortSpeaksTLSWithHTTP2AndRenewsItsCertificate(t *testing.T) {
	t.Parallel()
	banner := &syncBuffer{}
	s := startSecured(t, requireViewers, func(o *Options) { o.Report.Banner = banner })
	if got := s.get(t, s.client, "/healthz", "Host", "fleet.example.org"); got.ProtoMajor != 2 || got.StatusCode != 200 ||
		got.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("%s %d %v", got.Proto, got.StatusCode, got.Header)
	}
	if got := s.get(t, s.client, "/healthz"); got.Header.Get("Strict-Transport-Security") != "" {
		t.Error("loopback is told to stay with https, for whatever else it serves")
	}
	old := s.newClient(t, func(tr *http.Transport) {
		tr.ForceAttemptHTTP2, tr.TLSNextProto = false, map[string]func(string, *tls.Conn) http.RoundTripper{}
	})
	if got := s.get(t, old, "/healthz"); got.ProtoMajor != 1 || got.StatusCode != 200 {
		t.Errorf("%s %d", got.Proto, got.StatusCode)
	}
	ancient := s.newClient(t, func(tr *http.Transport) { tr.TLSClientConfig.MaxVersion = tls.VersionTLS11 })
	if res, err := ancient.Get("https://" + s.Addrs().HTTP.String() + "/healthz"); err == nil {
		res.Body.Close()
		t.Error("TLS 1.1 is served")
	}
	if !strings.Contains(banner.String(), "https://"+s.Addrs().HTTP.String()) || strings.Contains(banner.String(), "http://") {
		t.Errorf("%s", banner.String())
	}
	if ends := s.stats().HTTP.CertificateEnds; ends == 0 {
		t.Error("nobody is told when the certificate ends")
	}
	if err := os.WriteFile(s.ca.file("server.crt"), []byte("half writ"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.parts.certs.Recheck()
	s.get(t, s.newClient(t, nil), "/healthz") // by the one before
	renewed, _ := s.ca.sign("server", serverCertificate())
	s.parts.certs.Recheck()
	got := s.get(t, s.newClient(t, nil), "/healthz")
	if served := got.TLS.PeerCertificates[0]; served.SerialNumber.Cmp(renewed.SerialNumber) != 0 {
		t.Error("the old certificate is served")
	}
}

func (s *secured) stats() Stats { return s.App.stats() }

func TestASessionByHTTPSIsForHTTPSOnly(t *testing.T) {
	t.Parallel()
	s := startSecured(t, requireViewers)
	if _, err := s.parts.viewers.CreateUser(t.Context(), "ann", "correct horse battery", grantAll(devices.Viewer)); err != nil {
		t.Fatal(err)
	}
	res, err := s.client.Post("https://"+s.Addrs().HTTP.String()+"/api/session", "application/json", strings.NewReader(`{"name":"ann","password":"correct horse battery"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	cookie := res.Header.Get("Set-Cookie")
	if res.StatusCode != 200 || !strings.HasPrefix(cookie, "__Host-fleetcast=") || !strings.Contains(cookie, "Secure") || !strings.Contains(cookie, "HttpOnly") {
		t.Errorf("%d %q", res.StatusCode, cookie)
	}
}

// All tabs of a browser share one connection: a hundred streams come over it, and a request beside them is answered. They
// take no place among the connections, and a drain ends them all, each with the time to come back.
func TestManyStreamsComeOverOneConnectionAndDrainAsOne(t *testing.T) {
	t.Parallel()
	s := startSecured(t)
	s.telemetry("north", "truck-1", `{"lat":1,"lon":2}`)
	s.waitAssetOver(t, "truck-1")
	const streams = 100
	var conns sync.Map
	trace := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { conns.Store(i.Conn.LocalAddr().String(), true) }})
	heard := make(chan string, streams)
	tails := make(chan error, streams)
	for range streams {
		req, err := http.NewRequestWithContext(trace, http.MethodGet, "https://"+s.Addrs().HTTP.String()+"/stream/assets", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept-Encoding", "identity")
		res, err := s.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			defer res.Body.Close()
			var tail bytes.Buffer
			for lines := bufio.NewReader(res.Body); ; {
				line, err := lines.ReadString('\n')
				if strings.Contains(line, `"speed":7`) {
					heard <- line
				}
				if strings.HasPrefix(line, "retry:") {
					tail.Reset()
				}
				tail.WriteString(line)
				if err != nil {
					if errors.Is(err, io.EOF) && !strings.HasPrefix(tail.String(), "retry:") {
						err = fmt.Errorf("it ended with %q", tail.String())
					}
					tails <- err
					return
				}
			}
		}()
	}
	s.telemetry("north", "truck-1", `{"lat":1,"lon":2,"speed":7}`)
	for range streams {
		select {
		case <-heard:
		case <-t.Context().Done():
			t.Fatal("not all streams heard")
		}
	}
	s.waitAssetOver(t, "truck-1")
	used := 0
	conns.Range(func(any, any) bool { used++; return true })
	if st := s.stats(); used != 1 || st.SSE.Open != streams || st.HTTP.Open > 1 {
		t.Errorf("%d connections, %d streams, %d places", used, st.SSE.Open, st.HTTP.Open)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Error(err)
	}
	for range streams {
		if err := <-tails; !errors.Is(err, io.EOF) {
			t.Errorf("a stream did not end as it should: %v", err)
		}
	}
}

func (s *secured) waitAssetOver(t *testing.T, id string) {
	t.Helper()
	var got answer
	waitFor(t, "asset "+id, func() bool {
		got = s.get(t, s.client, "/api/assets/"+id)
		return got.StatusCode == http.StatusOK
	}, func() string { return string(got.body) })
}

func TestSettingsOfHTTPSAreChecked(t *testing.T) {
	for _, bad := range []func(*Options){
		func(o *Options) { o.HTTP.Cert = "x" },
		func(o *Options) { o.HTTP.Key = "x" },
		func(o *Options) { o.HTTP.Cert, o.HTTP.Key, o.People.PublicURL = "x", "x", "http://fleet.example.org" },
	} {
		o := testOptions(t)
		bad(&o)
		if err := o.Check(); devices.KindOf(err) != devices.Invalid {
			t.Errorf("%+v: %v", o.HTTP, err)
		}
	}
	o := testOptions(t)
	o.HTTP.Cert, o.HTTP.Key = "/nowhere.crt", "/nowhere.key"
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); devices.KindOf(err) != devices.Invalid || !strings.Contains(err.Error(), "http-cert") {
		t.Errorf("%v", err)
	}
}
