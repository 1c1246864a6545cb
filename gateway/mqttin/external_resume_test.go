package mqttin

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
)

// lateTracker is a debug log of paho that holds paho up where it is about to empty its list of what is to be acknowledged,
// until a message was handled, or long enough for one that was on the wire.
type lateTracker struct{ handled chan struct{} }

func (l lateTracker) Println(v ...any) {
	if fmt.Sprint(v...) == "starting acking routine" {
		select {
		case <-l.handled:
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (lateTracker) Printf(string, ...any) {}

// A broker that has a session of ours sends what is owed together with its answer to CONNECT. On a busy machine paho took
// that, and forgot it, before it began to keep count of what is to be acknowledged: then it was never acknowledged, the
// window stayed full, and nothing more came.
func TestWhatComesWithTheAnswerToConnectIsAcknowledged(t *testing.T) {
	t.Parallel()
	payload := `{"n":1}`
	body := binary.BigEndian.AppendUint16(nil, uint16(len(topicOne)))
	body = append(body, topicOne...)
	body = append(body, 0, 7, 0) // packet id, no properties
	body = append(body, payload...)
	f := &fake{greets: append([]byte{0x32, byte(len(body))}, body...), grants: 1, acked: make(chan struct{}, 1)}
	f.start(t)
	inlet := new(fakeInlet)
	u, err := NewUpstream(UpstreamOptions{URLs: []string{"mqtt://" + f.address()}, ClientID: "door", Inlet: inlet})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { u.committer.run(ctx) })
	late := lateTracker{handled: make(chan struct{}, 1)}
	config := u.clientConfig(ctx)
	config.PahoDebug = late
	config.OnPublishReceived = append(config.OnPublishReceived, func(paho.PublishReceived) (bool, error) {
		select {
		case late.handled <- struct{}{}:
		default:
		}
		return true, nil
	})
	manager, err := autopaho.NewConnection(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel()
		<-manager.Done()
		running.Wait()
		u.subscribing.Wait()
	}()
	select {
	case <-f.acked:
	case <-time.After(patience):
		t.Error("it was never acknowledged")
	}
	if got := inlet.metric("n"); len(got) != 1 {
		t.Errorf("the inlet has %v", got)
	}
}
