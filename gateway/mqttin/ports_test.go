package mqttin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

// over is an MQTT client on a connection that somebody made.
func over(t testing.TB, nc net.Conn, o connectOptions) *raw {
	t.Helper()
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetReadDeadline(time.Now().Add(patience))
	r := &raw{Conn: nc, t: t, version: o.version, id: o.id}
	o.keepalive = 60
	r.send(connectPacket(o))
	return r
}

func (r *raw) welcomed() {
	r.t.Helper()
	if first, body := r.read(); first != 0x20 || body[1] != 0 {
		r.t.Fatalf("got %#x % x instead of a CONNACK", first, body)
	}
}

// secured are a client's settings for the certificate of the test, which it shows as well if it is to.
func secured(t *testing.T, roots *x509.CertPool, files ...string) *tls.Config {
	t.Helper()
	config := &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
	if len(files) == 2 {
		pair, err := tls.LoadX509KeyPair(files[0], files[1])
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config
}

func tlsPort(h *harness) string { return h.Addrs()[1].String() }

func TestMQTTOverTLSWithAndWithoutAClientCertificate(t *testing.T) {
	cert, key, roots := certificate(t)
	auth := newFakeAuth(aDevice("truck-1", "north"))
	h := guarded(t, Options{Ports: Ports{TLS: "127.0.0.1:0", Certificate: cert, Key: key, ClientCA: cert}}, auth)
	for _, config := range []*tls.Config{secured(t, roots), secured(t, roots, cert, key)} {
		nc, err := tls.Dial("tcp", tlsPort(h), config)
		if err != nil {
			t.Fatal(err)
		}
		r := over(t, nc, as("truck-1"))
		r.welcomed()
		r.publish("fleets/north/devices/truck-1/telemetry", `{}`, 1, 1)
		r.expect(0x40, 1)
		auth.mu.Lock()
		shown := len(auth.last.PeerCertificates)
		auth.mu.Unlock()
		if shown != len(config.Certificates) {
			t.Errorf("%d certificates of %d", shown, len(config.Certificates))
		}
		_ = nc.Close()
	}
	stranger, strangersKey, _ := certificate(t)
	nc, err := tls.Dial("tcp", tlsPort(h), secured(t, roots, stranger, strangersKey))
	if err == nil { // TLS 1.3 tells the client only when it reads
		over(t, nc, as("truck-1")).gone()
	}
	h.counted(t, TLSFailed)
	old := secured(t, roots)
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if _, err := tls.Dial("tcp", tlsPort(h), old); err == nil {
		t.Error("TLS 1.1 is served")
	}
	h.well(t)
}

func TestARenewedCertificateIsUsedWithoutARestart(t *testing.T) {
	cert, key, roots := certificate(t)
	h := startWith(t, Options{Ports: Ports{TLS: "127.0.0.1:0", Certificate: cert, Key: key}})
	served := func(roots *x509.CertPool) error {
		h.certs.Recheck() // as if some time had passed
		nc, err := tls.Dial("tcp", tlsPort(h), secured(t, roots))
		if err == nil {
			_ = nc.Close()
		}
		return err
	}
	if err := served(roots); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cert, []byte("half writ"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := served(roots); err != nil {
		t.Errorf("with files that cannot be used: %v", err)
	}
	h.counted(t, CertificateBad)
	newCert, newKey, newRoots := certificate(t)
	for from, to := range map[string]string{newCert: cert, newKey: key} {
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := served(newRoots); err != nil {
		t.Errorf("with the new certificate: %v", err)
	}
}

func TestCertificateFilesAreCheckedAtTheStart(t *testing.T) {
	cert, key, _ := certificate(t)
	other, _, _ := certificate(t)
	for name, p := range map[string]Ports{
		"no files":           {TLS: "127.0.0.1:0"},
		"not there":          {TLS: "127.0.0.1:0", Certificate: "nowhere", Key: key},
		"another's key":      {TLS: "127.0.0.1:0", Certificate: other, Key: key},
		"no authorities":     {TLS: "127.0.0.1:0", Certificate: cert, Key: key, ClientCA: "nowhere"},
		"authorities: a key": {SecureWebSocket: "127.0.0.1:0", Certificate: cert, Key: key, ClientCA: key},
	} {
		if _, err := New(Options{Inlet: new(fakeInlet), Ports: p}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestATLSHandshakeThatStallsOrIsNoneEndsItsConnectionOnly(t *testing.T) {
	cert, key, _ := certificate(t)
	h := startWith(t, Options{Limits: Limits{FirstPacket: 100 * time.Millisecond}, Ports: Ports{TLS: "127.0.0.1:0", Certificate: cert, Key: key}})
	for _, b := range [][]byte{nil, {0x16, 3, 1}, connectPacket(connectOptions{version: 4, id: "plain"}), []byte("GET / HTTP/1.1\r\n\r\n")} {
		nc, err := net.Dial("tcp", tlsPort(h))
		if err != nil {
			t.Fatal(err)
		}
		r := &raw{Conn: nc, t: t}
		_ = nc.SetReadDeadline(time.Now().Add(patience))
		r.send(b)
		buf := make([]byte, 256)
		for err == nil {
			_, err = nc.Read(buf)
		}
		_ = nc.Close()
	}
	eventually(t, "two stalls and two failures", func() bool { return h.event(FirstPacketLate) == 2 && h.event(TLSFailed) == 2 })
	eventually(t, "the ends", func() bool { return h.Stats().Connections == 0 })
	h.well(t)
}

func webSocketURL(h *harness) string { return "ws://" + h.Addrs()[1].String() + "/mqtt" }

func dialWebSocket(t testing.TB, h *harness, header http.Header, protocols ...string) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return websocket.Dial(ctx, webSocketURL(h), &websocket.DialOptions{HTTPHeader: header, Subprotocols: protocols})
}

func TestMQTTOverWebSocketWhereverItsFramesEnd(t *testing.T) {
	h := startWith(t, Options{Ports: Ports{WebSocket: "127.0.0.1:0"}})
	ws, _, err := dialWebSocket(t, h, nil, "mqtt")
	if err != nil {
		t.Fatal(err)
	}
	if ws.Subprotocol() != "mqtt" {
		t.Errorf("subprotocol %q", ws.Subprotocol())
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	nc := websocket.NetConn(ctx, ws, websocket.MessageBinary)
	r := over(t, nc, connectOptions{version: 5, id: "page"})
	r.welcomed()
	stream := append(publishPacket(5, topicOne, `{"n":1}`, 1, 1, false), publishPacket(5, topicOne, `{"n":2}`, 1, 2, false)...)
	r.send(stream) // two packets in a message
	r.expect(0x40, 1)
	r.expect(0x40, 2)
	for _, b := range publishPacket(5, topicOne, `{"n":3}`, 1, 3, false) { // a message a byte, and empty ones
		r.send([]byte{b})
		r.send(nil)
	}
	r.expect(0x40, 3)
	if err := ws.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Log(err)
	}
	eventually(t, "the end", func() bool { return h.Stats().Connections == 0 })
	if got := h.inlet.metric("n"); len(got) != 3 {
		t.Errorf("readings %v", got)
	}
	h.well(t)
}

func TestAWebSocketMessageOfTextEndsTheConnection(t *testing.T) {
	h := startWith(t, Options{Ports: Ports{WebSocket: "127.0.0.1:0"}})
	ws, _, err := dialWebSocket(t, h, nil, "mqtt")
	if err != nil {
		t.Fatal(err)
	}
	if err := ws.Write(t.Context(), websocket.MessageText, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ws.Read(t.Context()); err == nil {
		t.Error("the connection goes on")
	}
	h.well(t)
}

func TestWhoMayUpgradeToWebSocket(t *testing.T) {
	h := startWith(t, Options{Ports: Ports{WebSocket: "127.0.0.1:0", Origins: []string{"fleet.example", "https://maps.example:8443"}}})
	for origin, want := range map[string]int{
		"": 0, "http://localhost:5173": 0, "http://127.0.0.1": 0, "http://[::1]:8080": 0, "https://fleet.example": 0, "https://FLEET.example": 0,
		"https://maps.example:8443": 0, "http://maps.example:8443": 403, "https://evil.example": 403, "https://fleet.example.evil": 403,
		"null": 403, "http://localhost.evil": 403, "http://" + h.Addrs()[1].String(): 0,
	} {
		header := http.Header{}
		if origin != "" {
			header.Set("Origin", origin)
		}
		ws, response, err := dialWebSocket(t, h, header, "mqtt")
		switch {
		case want == 0 && err != nil:
			t.Errorf("origin %q: %v", origin, err)
		case want != 0 && (err == nil || response == nil || response.StatusCode != want):
			t.Errorf("origin %q: %v %+v", origin, err, response)
		}
		if ws != nil {
			_ = ws.CloseNow()
		}
	}
	h.counted(t, OriginRefused)
	if _, response, err := dialWebSocket(t, h, nil, "chat"); err == nil || response.StatusCode != 400 {
		t.Errorf("another subprotocol: %v", err)
	}
	h.counted(t, UpgradeRefused)
	for _, request := range []string{
		"\x00\x00\x00\x00\r\n\r\n", "GET /mqtt HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n", "POST /mqtt HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
		"GET /other HTTP/1.1\r\nHost: x\r\n\r\n", "GET /mqtt HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", maxUpgradeBytes) + "\r\n\r\n",
	} {
		before := h.event(UpgradeRefused) + h.event(LeftEarly)
		nc, err := net.Dial("tcp", h.Addrs()[1].String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = nc.Write([]byte(request))
		eventually(t, "a count", func() bool { return h.event(UpgradeRefused)+h.event(LeftEarly) > before })
		_ = nc.Close()
	}
	h.well(t)
}

func TestWebSocketPingsAreAnsweredAtAMeasure(t *testing.T) {
	h := startWith(t, Options{Limits: Limits{FirstPacket: 200 * time.Millisecond}, Ports: Ports{WebSocket: "127.0.0.1:0"}})
	ws, _, err := dialWebSocket(t, h, nil, "mqtt")
	if err != nil {
		t.Fatal(err)
	}
	ctx := ws.CloseRead(t.Context())
	if err := ws.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	for err == nil { // the next are not answered, and do not keep a connection open that says nothing else
		err = ws.Ping(ctx)
	}
	h.counted(t, FirstPacketLate)
	h.well(t)
}

func proxied(t testing.TB, h *harness, header string, o connectOptions) *raw {
	t.Helper()
	nc, err := net.Dial("tcp", h.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Write(append([]byte(header), connectPacket(o)...)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetReadDeadline(time.Now().Add(patience))
	return &raw{Conn: nc, t: t, version: o.version, id: o.id}
}

// proxyV2 is a binary header for a TCP connection over IPv4.
func proxyV2(command byte, source string, port uint16) string {
	b := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), 0x20|command, 0x11, 0, 12)
	addr := netip.MustParseAddr(source).As4()
	b = append(append(b, addr[:]...), 127, 0, 0, 1)
	b = binary.BigEndian.AppendUint16(b, port)
	return string(binary.BigEndian.AppendUint16(b, 1883))
}

func TestAProxySaysWhoTheClientIs(t *testing.T) {
	auth := newFakeAuth(aDevice("truck-1", "north"))
	auth.accounts["witness"], auth.fleets[deviceID("witness")] = aDevice("witness", "f"), fleetID("f")
	h := guarded(t, Options{Limits: Limits{PerAddress: 2}, Ports: Ports{Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}, auth)
	o := as("truck-1")
	for i, header := range []string{
		"PROXY TCP4 192.0.2.1 127.0.0.1 4000 1883\r\n", proxyV2(1, "192.0.2.1", 4001), "PROXY TCP6 2001:db8::1 ::1 4000 1883\r\n", proxyV2(0, "0.0.0.0", 0), "PROXY UNKNOWN\r\n",
	} {
		o.id = string(rune('a' + i))
		r := proxied(t, h, header, o)
		r.welcomed()
		auth.mu.Lock()
		from := auth.last.RemoteAddr.String()
		auth.mu.Unlock()
		if want := []string{"192.0.2.1", "192.0.2.1", "2001:db8::1", "127.0.0.1", "127.0.0.1"}[i]; from != want {
			t.Errorf("%q: the address is %s", header, from)
		}
	}
	proxied(t, h, "PROXY TCP4 192.0.2.1 127.0.0.1 4002 1883\r\n", o).gone() // the third of one address
	h.counted(t, AddressLimit)
	for _, header := range []string{"", "PROXY", "PROXY TCP4 x y z\r\n", "PROXY " + strings.Repeat("x", 200), "\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff"} {
		before := h.event(ProxyHeaderBad) + h.event(LeftEarly)
		r := proxied(t, h, header, o)
		if header == "" {
			r.gone()
		}
		_ = r.Close()
		eventually(t, "a count", func() bool { return h.event(ProxyHeaderBad)+h.event(LeftEarly) > before })
	}
	h.counted(t, ProxyHeaderBad)
	proxied(t, h, "PROXY UNKNOWN\r\n", as("witness")).welcomed()
}

func TestWhoIsNoProxyCannotClaimAnotherAddress(t *testing.T) {
	h := startWith(t, Options{Ports: Ports{Proxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}})
	proxied(t, h, "PROXY TCP4 203.0.113.1 127.0.0.1 4000 1883\r\n", connectOptions{version: 4, id: "x"}).gone()
	h.counted(t, FirstPacketBad)
	h.well(t)
	if got := h.inlet.of(bus.KindReading, "witness"); len(got) != 1 {
		t.Errorf("%d readings", len(got))
	}
}

// FuzzHandshake sends anything to the ports where something comes before MQTT. Whatever it is, the process lives and the
// connection ends.
func FuzzHandshake(f *testing.F) {
	f.Add(0, []byte("PROXY TCP4 192.0.2.1 127.0.0.1 4000 1883\r\n\x10\x00"))
	f.Add(0, []byte(proxyV2(1, "192.0.2.1", 4001)))
	f.Add(0, append([]byte(proxyV2(0, "192.0.2.1", 4001)), connectPacket(connectOptions{version: 5, id: "c"})...))
	upgrade := "GET /mqtt HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
	f.Add(1, []byte(upgrade))
	f.Add(1, []byte(upgrade+"\x82\x85\x00\x00\x00\x00\x10\xff\xff\xff\x7f"))
	f.Add(1, []byte(upgrade+"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00"))
	f.Add(1, []byte(upgrade+"\x89\x80\x00\x00\x00\x00\x88\x82\x00\x00\x00\x00\x03\xe8"))
	f.Add(2, connectPacket(connectOptions{version: 5, id: "c", willTopic: "a", will: "b", user: "u", password: "p"}))
	f.Add(2, []byte{0x10, 0xff, 0xff, 0xff, 0x7f})
	h := startWith(f, Options{
		Limits: Limits{Write: time.Second, FirstPacket: 5 * time.Second},
		Ports:  Ports{WebSocket: "127.0.0.1:0", Proxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
	})
	f.Fuzz(func(t *testing.T, kind int, b []byte) {
		ours, theirs := net.Pipe()
		port, address := h.ports[0], "198.51.100.1:4000"
		switch uint(kind) % 3 {
		case 0:
			address = "192.0.2.1:4000"
		case 1:
			port = h.ports[1]
		}
		tcp, err := net.ResolveTCPAddr("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		h.serve(context.Background(), fakeConn{ours, tcp}, port)
		drained := make(chan struct{})
		go func() {
			defer close(drained)
			buf := make([]byte, 512)
			for {
				if _, err := theirs.Read(buf); err != nil {
					return
				}
			}
		}()
		_, _ = theirs.Write(b)
		_ = theirs.Close()
		<-drained
		eventually(t, "the end", func() bool { return h.Stats().Connections == 0 && h.Stats().Queued == 0 })
	})
}
