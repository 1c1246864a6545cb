package mqttlite

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// secured returns both ends of a TLS connection.
func secured(t *testing.T) (client, server *tls.Conn) {
	t.Helper()
	certificates := httptest.NewUnstartedServer(nil)
	certificates.StartTLS()
	t.Cleanup(certificates.Close)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan *tls.Conn, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			close(accepted)
			return
		}
		s := tls.Server(conn, &tls.Config{Certificates: certificates.TLS.Certificates, MinVersion: tls.VersionTLS12})
		if err := s.HandshakeContext(t.Context()); err != nil {
			conn.Close()
			close(accepted)
			return
		}
		accepted <- s
	}()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	client = tls.Client(conn, &tls.Config{RootCAs: certificates.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, ServerName: "example.com"})
	if err := client.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	server = <-accepted
	if server == nil {
		t.Fatal("no handshake")
	}
	t.Cleanup(func() {
		_ = client.Close() // the peer may have ended it
		_ = server.Close()
	})
	return client, server
}

func TestAPeerThatDoesNotReadTLSIsBusyAndHoldsNobodyUp(t *testing.T) {
	conn, peer := secured(t)
	handshaken := make(chan struct{})
	go func() {
		defer close(handshaken)
		buf := make([]byte, 256)
		if _, err := peer.Read(buf); err == nil { // CONNECT
			_, _ = peer.Write([]byte{0x20, 2, 0, 0}) // the client says whether it came
		}
	}()
	c, err := Connect(t.Context(), conn, Options{ClientID: "d"})
	if err != nil {
		t.Fatal(err)
	}
	<-handshaken
	text := make([]byte, 2000)
	for sent := 0; ; sent++ { // a write that waited would end with its deadline, and the connection with it
		err := c.Publish(Message{Topic: "t", Payload: text}, 0)
		if errors.Is(err, ErrBusy) {
			break
		}
		if err != nil || sent > 100_000 {
			t.Fatalf("message %d: %v", sent, err)
		}
	}
	go func() { _, _ = io.Copy(io.Discard, peer) }() // ends with the connection
	for deadline := time.Now().Add(30 * time.Second); ; {
		if err := c.Publish(Message{Topic: "t", Payload: text}, 0); err == nil {
			break
		} else if !errors.Is(err, ErrBusy) || time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-time.After(10 * time.Millisecond)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
