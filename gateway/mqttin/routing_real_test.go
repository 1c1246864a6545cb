package mqttin

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
)

// The same with clients that are not ours: Mosquitto's, of MQTT 3.1.1 and 5, and paho.

// subscribeWith runs mosquitto_sub until it has so many messages, and returns what it will have printed.
func subscribeWith(t *testing.T, h *harness, count int, args ...string) (lines func() []string) {
	t.Helper()
	host, port, err := net.SplitHostPort(h.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	args = append([]string{"-h", host, "-p", port, "-C", fmt.Sprint(count)}, args...)
	cmd := exec.CommandContext(ctx, program(t, "mosquitto_sub"), args...)
	out := make(chan []string, 1)
	go func() {
		b, err := cmd.CombinedOutput()
		if err != nil {
			b = append(b, err.Error()...)
		}
		out <- strings.Split(strings.TrimSpace(string(b)), "\n")
	}()
	return func() []string { return <-out }
}

func (h *harness) subscribed(t *testing.T, id string, filters int) {
	t.Helper()
	eventually(t, id+" to subscribe", func() bool {
		s := h.sessionOf(id)
		return s != nil && len(s.subscriptions()) == filters
	})
}

func TestMosquittosClientsTalkToEachOther(t *testing.T) {
	t.Parallel()
	h := routing(t, Limits{})
	for _, version := range []string{"mqttv311", "mqttv5"} {
		topic := "chat/" + version
		publishWith(t, h, "-V", version, "-t", topic+"/r", "-m", "retained", "-q", "1", "-r")
		lines := subscribeWith(t, h, 4, "-V", version, "-i", "sub", "-t", topic+"/#", "-q", "2", "-F", "%r %q %p")
		h.subscribed(t, "sub", 1)
		for qos := range 3 {
			publishWith(t, h, "-V", version, "-t", topic+"/a", "-m", fmt.Sprint("live", qos), "-q", fmt.Sprint(qos))
		}
		if got := lines(); !slices.Equal(got, []string{"1 1 retained", "0 0 live0", "0 1 live1", "0 2 live2"}) {
			t.Errorf("%s prints %q", version, got)
		}
	}
}

func TestMosquittosClientsFindTheirSessionAgain(t *testing.T) {
	t.Parallel()
	h := routing(t, Limits{})
	for _, version := range []string{"mqttv311", "mqttv5"} {
		args := []string{"-V", version, "-i", version, "-c", "-t", "chat/" + version, "-q", "2", "-F", "%q %p"}
		if version == "mqttv5" {
			args = append(args, "-x", "600")
		}
		lines := subscribeWith(t, h, 1, args...)
		h.subscribed(t, version, 1)
		publishWith(t, h, "-t", "chat/"+version, "-m", "one", "-q", "1")
		if got := lines(); !slices.Equal(got, []string{"1 one"}) {
			t.Fatalf("%s prints %q", version, got)
		}
		eventually(t, "its end", func() bool { return h.Stats().Connections == 0 })
		publishWith(t, h, "-t", "chat/"+version, "-m", "two", "-q", "2")
		publishWith(t, h, "-t", "chat/"+version, "-m", "lost", "-q", "0")
		publishWith(t, h, "-t", "chat/"+version, "-m", "three", "-q", "1")
		got := subscribeWith(t, h, 2, args...)()
		slices.Sort(got) // it shows QoS 2 when it is released
		if !slices.Equal(got, []string{"1 three", "2 two"}) {
			t.Errorf("%s prints %q", version, got)
		}
	}
}

func TestMosquittosWillIsHeardWhenItDies(t *testing.T) {
	t.Parallel()
	h := routing(t, Limits{})
	host, port, err := net.SplitHostPort(h.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	lines := subscribeWith(t, h, 1, "-V", "5", "-i", "sub", "-t", "chat/#", "-q", "1", "-F", "%q %t %p")
	h.subscribed(t, "sub", 1)
	cmd := exec.CommandContext(t.Context(), program(t, "mosquitto_sub"), "-h", host, "-p", port, "-V", "5", "-i", "dies", "-t", "x", "-x", "60",
		"--will-topic", "chat/will", "--will-payload", "gone", "--will-qos", "2", "-D", "will", "will-delay-interval", "1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h.subscribed(t, "dies", 1)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if got := lines(); !slices.Equal(got, []string{"1 chat/will gone"}) {
		t.Errorf("prints %q", got)
	}
}

// paho holds its own Receive Maximum, and its session, against the broker.
func TestPahoSubscribesOverReconnections(t *testing.T) {
	t.Parallel()
	h := routing(t, Limits{})
	const n = 300
	got := make(chan string, 2*n)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	config := autopaho.ClientConfig{
		ServerUrls: []*url.URL{{Scheme: "mqtt", Host: h.Addr().String()}}, KeepAlive: 30, SessionExpiryInterval: 600,
		ReconnectBackoff: func(int) time.Duration { return 10 * time.Millisecond },
		ConnectPacketBuilder: func(p *paho.Connect, _ *url.URL) (*paho.Connect, error) {
			receive := uint16(7)
			p.Properties.ReceiveMaximum = &receive
			return p, nil
		},
		OnConnectionUp: func(m *autopaho.ConnectionManager, ack *paho.Connack) {
			if !ack.SessionPresent {
				go func() {
					_, _ = m.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "chat/#", QoS: 2}}})
				}()
			}
		},
		ClientConfig: paho.ClientConfig{ClientID: "paho", OnPublishReceived: []func(paho.PublishReceived) (bool, error){
			func(p paho.PublishReceived) (bool, error) {
				got <- string(p.Packet.Payload)
				return true, nil
			},
		}},
	}
	m, err := autopaho.NewConnection(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	h.subscribed(t, "paho", 1)
	from := client(t, h, 5, "from")
	for i := range n {
		from.say("chat/a", fmt.Sprint(i), byte(1+i%2), false)
		if i%100 == 50 {
			_ = h.sessionOf("paho").conn.Close()
		}
	}
	seen := map[string]int{}
	for len(seen) < n {
		select {
		case payload := <-got:
			seen[payload]++
		case <-time.After(patience):
			t.Fatalf("only %d of %d came", len(seen), n)
		}
	}
	for payload, times := range seen {
		if i := len(payload) - 1; times > 1 && (payload[i]-'0')%2 == 1 {
			t.Errorf("%s, of QoS 2, came %d times", payload, times)
		}
	}
	cancel()
	<-m.Done()
}
