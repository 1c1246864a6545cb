package mqttin

import (
	"context"
	"io"
	"net"
	"testing"
	"time"
)

// FuzzConnection sends anything behind a CONNECT. Whatever it is, the process lives, the connection ends when the peer
// leaves, and nothing of it stays queued.
func FuzzConnection(f *testing.F) {
	f.Add(true, []byte{0x82, 6, 0, 1, 0, 0, 1, 0x61})
	f.Add(false, subscribePacket(4, 1, "#", "a/b"))
	f.Add(true, subscribePacket(5, 1, "$share/g/#"))
	f.Add(true, aliasPacket("", 3, "{}", 1, 1))
	f.Add(false, publishPacket(4, topicOne, `{"lat":1,"lon":2}`, 2, 1, false))
	f.Add(true, append(publishPacket(5, topicOne, `{}`, 2, 1, false), 0x62, 2, 0, 1, 0xe0, 0))
	f.Add(true, []byte{0xf0, 2, 0, 0})
	f.Add(false, connectPacket(connectOptions{version: 5, id: "again", willTopic: "a", will: "b"}))
	f.Add(true, []byte{0x30, 0xff, 0xff, 0xff, 0x7f})
	f.Add(true, []byte{0xa2, 5, 0, 1, 0, 0, 9})
	h := start(f, Limits{Write: time.Second})
	f.Fuzz(func(t *testing.T, five bool, b []byte) {
		version := byte(4)
		if five {
			version = 5
		}
		ours, theirs := net.Pipe()
		h.serve(context.Background(), ours, h.ports[0])
		drained := make(chan struct{})
		go func() {
			defer close(drained)
			_, _ = io.Copy(io.Discard, theirs) // ends with the broker's side
		}()
		if _, err := theirs.Write(connectPacket(connectOptions{version: version, id: "fuzz", keepalive: 60})); err == nil {
			_, _ = theirs.Write(b)
		}
		_ = theirs.Close()
		<-drained
		eventually(t, "the end", func() bool { return h.Stats().Connections == 0 && h.Stats().Queued == 0 })
	})
}
