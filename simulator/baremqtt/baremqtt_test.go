package baremqtt

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/internal/testbroker"
	"github.com/fleetcast/fleetcast/simulator/mqttlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs a server until the test ends.
func serve(t *testing.T) string {
	t.Helper()
	s, err := New("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address, err := s.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return address
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestEveryMessageIsAcknowledged(t *testing.T) {
	for _, version := range []mqttlite.Version{mqttlite.V311, mqttlite.V5} {
		f, err := fleet.New(fleet.Options{MQTT: serve(t), Devices: 4, Rate: 50, QoS: 1, Version: version})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		testbroker.Eventually(t, "forty messages are acknowledged", func() bool { return f.Counts().Acked >= 40 })
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		c := f.Counts()
		if c.Acked != c.Sent || c.AckRefused != 0 || c.Unacked != 0 || c.Trouble.Lost != 0 {
			t.Errorf("MQTT %d: %+v", version, c)
		}
	}
}

func TestNoMessageIsGivenToAnybody(t *testing.T) {
	address := serve(t)
	var acked atomic.Int64
	conn := dial(t, address)
	client, err := mqttlite.Connect(t.Context(), conn, mqttlite.Options{
		Version: mqttlite.V311, ClientID: "a", CleanStart: true, Window: 4, OnAck: func(int64, byte) { acked.Add(1) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = client.Serve(); close(ended) }()
	if err := client.Publish(mqttlite.Message{Topic: "a/b", Payload: []byte("x"), QoS: 1, Retain: true}, 0); err != nil {
		t.Fatal(err)
	}
	testbroker.Eventually(t, "it is acknowledged", func() bool { return acked.Load() == 1 })
	subscriber := dial(t, address)
	connect := []byte{0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, 1, 's'}
	subscribe := []byte{0x82, 6, 0, 1, 0, 1, '#', 0}
	ping := []byte{0xc0, 0}
	if _, err := subscriber.Write(append(append(connect, subscribe...), ping...)); err != nil {
		t.Fatal(err)
	}
	// The CONNACK, the SUBACK and the PINGRESP: a retained message would stand before the last.
	want := string([]byte{0x20, 2, 0, 0, 0x90, 3, 0, 1, 0, 0xd0, 0})
	got := make([]byte, len(want))
	_ = subscriber.SetReadDeadline(time.Now().Add(20 * time.Second))
	if n, err := io.ReadFull(subscriber, got); err != nil {
		t.Fatalf("%v after %x", err, got[:n])
	}
	if string(got) != want {
		t.Errorf("got %x", got)
	}
	if err := client.Disconnect(); err != nil {
		t.Error(err)
	}
	<-ended
}
