package mqttin

import (
	"bufio"
	"context"
	"io"
	"net"
	"testing"
)

// BenchmarkUpstream is the way of a message from a socket through paho to an inlet that costs nothing, and of its
// acknowledgement back, with the whole Receive Maximum in flight. The broker is a script; what it costs is in the time.
func BenchmarkUpstream(b *testing.B) {
	for _, c := range []struct {
		name   string
		window int
	}{{"ReceiveMaximum256", 256}, {"ReceiveMaximum1024", 1024}} {
		b.Run(c.name, func(b *testing.B) { benchmarkUpstream(b, c.window) })
	}
}

func benchmarkUpstream(b *testing.B, window int) {
	b.Helper()
	l, err := (&net.ListenConfig{}).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	u, err := NewUpstream(UpstreamOptions{URLs: []string{"mqtt://" + l.Addr().String()}, ClientID: "bench", Inlet: sink{}, ReceiveMaximum: window})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- u.Run(ctx) }()
	nc, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	r := &raw{Conn: nc, t: b, version: 5}
	r.read() // CONNECT
	r.send([]byte{0x20, 3, 0, 0, 0})
	for first := byte(0); first != 0x82; { // among the PINGREQs
		var body []byte
		if first, body = r.read(); first == 0x82 {
			r.send(append([]byte{0x90, 7, body[0], body[1], 0}, 1, 1, 1, 1))
		} else {
			r.send([]byte{0xd0, 0})
		}
	}
	packets := make([][]byte, window)
	for i := range packets {
		packets[i] = publishPacket(5, topicOne, document, 1, uint16(i+1), false)
	}
	acks := bufio.NewReader(nc)
	ack := make([]byte, 6)
	b.ReportAllocs()
	b.ResetTimer()
	out := bufio.NewWriterSize(nc, 64<<10)
	sent, acked := 0, 0
	for acked < b.N {
		for sent < b.N && sent-acked < window {
			_, _ = out.Write(packets[sent%window])
			sent++
		}
		if err := out.Flush(); err != nil {
			b.Fatal(err)
		}
		for first := true; acked < b.N && (first || acks.Buffered() > 0); first = false {
			if _, err := io.ReadFull(acks, ack[:2]); err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(acks, ack[2:2+ack[1]]); err != nil {
				b.Fatal(err)
			}
			if ack[0] == 0x40 {
				acked++
			}
		}
	}
	b.StopTimer()
	cancel()
	_ = nc.Close()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

// BenchmarkUpstreamHandler is our own part of it: from paho's handler to the queue.
func BenchmarkUpstreamHandler(b *testing.B) {
	u, l := unservedUpstream(b)
	p := publication(document)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		u.receive(l, p)
		if n++; n%128 == 0 {
			u.committer.forget()
		}
	}
}
