package certs

import (
	"crypto/tls"
	"net"
	"testing"
)

func TestWhoTrustsTheFilesTrustsTheServer(t *testing.T) {
	f, err := Make(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		t.Fatal(err)
	}
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	done := make(chan error, 1)
	go func() {
		done <- tls.Server(far, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}).HandshakeContext(t.Context())
	}()
	trust := f.Trust.Clone()
	trust.ServerName = "127.0.0.1"
	if err := tls.Client(near, trust).HandshakeContext(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := Make("/nonexistent"); err == nil {
		t.Error("it writes into no directory")
	}
}
