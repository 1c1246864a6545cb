package mqttin

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestTheConnectionLimitLeavesAReserveOfOpenFiles(t *testing.T) {
	for files, want := range map[uint64]int{256: 128, 1024: 512, 4096: 3072, 20_000: 15_000, 1 << 62: 1 << 30} {
		if got := connectionsFor(files); got != want {
			t.Errorf("%d files: %d connections, want %d", files, got, want)
		}
	}
	for _, c := range []struct {
		chosen int
		files  uint64
		want   int
		logged string
	}{
		{0, 1024, 512, "level=INFO"},
		{0, 1 << 20, 50_000, ""},
		{0, 0, 50_000, ""}, // the system does not say
		{4000, 1024, 4000, "level=WARN"},
		{100, 1024, 100, ""},
	} {
		var out bytes.Buffer
		l := Limits{Connections: c.chosen}.withDefaults().fitFiles(c.chosen > 0, c.files, slog.New(slog.NewTextHandler(&out, nil)))
		if l.Connections != c.want || (c.logged == "") != (out.Len() == 0) || !strings.Contains(out.String(), c.logged) {
			t.Errorf("%+v: %d, logged %q", c, l.Connections, out.String())
		}
	}
}

func TestReadinessFollowsThePortAndTheInlet(t *testing.T) {
	b, err := New(Options{Inlet: sink{}, Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if b.Ready() == nil {
		t.Error("ready without a port")
	}
	h := start(t, Limits{})
	if err := h.Ready(); err != nil {
		t.Error(err)
	}
	h.inlet.failNext(1 << 30)
	r, _ := connect(t, h, connectOptions{id: "d"})
	r.publish(topicOne, `{"n":1}`, 1, 1)
	eventually(t, "not ready", func() bool { return h.Ready() != nil })
	h.inlet.failNext(0)
	r.expect(0x40, 1)
	eventually(t, "ready", func() bool { return h.Ready() == nil })
	release := h.inlet.hold() // a bus behind a path that swallows everything
	defer release()
	r.publish(topicOne, `{"n":2}`, 1, 2)
	eventually(t, "the silence is noticed", func() bool { return h.committer.ready(time.Millisecond) != nil })
	if err := h.Ready(); err != nil {
		t.Errorf("after a moment of silence: %v", err)
	}
	release()
	r.expect(0x40, 2)
	eventually(t, "it answers", func() bool { return h.committer.ready(0) == nil })
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	if h.Ready() == nil {
		t.Error("ready when stopped")
	}
}
