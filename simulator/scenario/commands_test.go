package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/prove"
	"github.com/fleetcast/fleetcast/simulator/sseclient"
)

// commandLedger is what is known of commands: those that the gateway said it accepted, and what a viewer was told of each.
type commandLedger struct {
	url string

	mu       sync.Mutex
	accepted map[string]string // by the key of the request: the command's id
	told     map[string][]string
	resets   int
}

type commandView struct {
	ID    string `json:"id"`
	State string `json:"state"`
}

func (c commandView) isFinal() bool {
	return c.State == "done" || c.State == "failed" || c.State == "expired"
}

// send posts a command, with one key until it is accepted.
func (l *commandLedger) send(ctx context.Context, n int, device string) error {
	key, body := fmt.Sprint("key-", n), []byte(`{"name":"step","params":{"n":1},"ttl":8}`)
	for ctx.Err() == nil {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url+"/api/devices/"+device+"/commands", bytes.NewReader(body))
		if err != nil {
			return err
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Idempotency-Key", key)
		status, answer, err := fetch(request)
		var c commandView
		switch {
		case err != nil, status >= http.StatusInternalServerError, status == http.StatusNotFound, status == http.StatusTooManyRequests:
			if err := stay(ctx, 20*time.Millisecond); err != nil { // it is away, starts, or does not have the device back yet
				return err
			}
			continue
		case status != http.StatusAccepted || json.Unmarshal(answer, &c) != nil || c.ID == "":
			return fmt.Errorf("a command is answered with %d %s", status, answer)
		}
		l.mu.Lock()
		l.accepted[key] = c.ID
		l.mu.Unlock()
		return nil
	}
	return ctx.Err()
}

func fetch(request *http.Request) (status int, body []byte, err error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

// watch is one viewer that comes back for ever with the id that it has.
func (l *commandLedger) watch(ctx context.Context) error {
	c, err := sseclient.New(sseclient.Options{
		URL: l.url + "/stream/assets?every=1000", Retry: 50 * time.Millisecond, Silence: 40 * time.Second,
		OnEvent: func(e sseclient.Event, _ time.Time) error {
			l.mu.Lock()
			defer l.mu.Unlock()
			switch e.Type {
			case "reset":
				l.resets++
			case "command":
				var c commandView
				if err := json.Unmarshal(e.Data, &c); err != nil {
					return err
				}
				l.told[c.ID] = append(l.told[c.ID], c.State)
			}
			return nil
		},
	})
	if err != nil {
		return err
	}
	return c.Run(ctx)
}

// open are the accepted commands of which no end was told.
func (l *commandLedger) open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, id := range l.accepted {
		if told := l.told[id]; len(told) == 0 || !(commandView{State: told[len(told)-1]}).isFinal() {
			n++
		}
	}
	return n
}

// check holds what was told against the promise, and against what REST says.
func (l *commandLedger) check(t *testing.T) {
	t.Helper()
	order := map[string]int{"accepted": 1, "sent": 2, "delivered": 3, "done": 4, "failed": 4, "expired": 4}
	ends := map[string]int{}
	for key, id := range l.accepted {
		told := l.told[id]
		if len(told) == 0 || told[0] != "accepted" {
			t.Errorf("command %s (%s) is told as %v", id, key, told)
			continue
		}
		for i := 1; i < len(told); i++ {
			if order[told[i]] <= order[told[i-1]] {
				t.Errorf("command %s (%s) is told as %v", id, key, told)
			}
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, l.url+"/api/commands/"+id, nil)
		if err != nil {
			t.Fatal(err)
		}
		var c commandView
		status, body, err := fetch(request)
		if err != nil || status != http.StatusOK || json.Unmarshal(body, &c) != nil || c.State != told[len(told)-1] {
			t.Errorf("command %s was last told as %v, and REST says %d %s %v", id, told, status, body, err)
		}
		ends[c.State]++
	}
	if l.resets > 0 {
		t.Errorf("the viewer was reset %d times", l.resets)
	}
	t.Logf("%d commands: %v", len(l.accepted), ends)
}

// Whatever is killed between which two states: a command that was accepted ends, a repeated request is the same command,
// and a viewer that comes back is told each state once.
func TestNoAcceptedCommandVanishesOverKills(t *testing.T) {
	for _, kind := range []string{"disk", "redis"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			var args []string
			if kind == "redis" {
				args = []string{"--redis=redis://" + startRedis(t).address}
			}
			overKills(t, startGateway(t, args...))
		})
	}
}

func overKills(t *testing.T, g *prove.Gateway) {
	t.Helper()
	const trucks = 4
	l := &commandLedger{url: g.URL(), accepted: map[string]string{}, told: map[string][]string{}}
	devices, err := fleet.New(fleet.Options{
		MQTT: g.MQTT(), Devices: trucks, Rate: 2, QoS: 1, Fleets: []string{"north"}, Prefix: "truck-", Commands: true, CommandsFail: 0.25, Seed: 3,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	report := func(what string, err error) {
		if err != nil && !errors.Is(err, context.Canceled) && ctx.Err() == nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	running.Go(func() { report("devices", devices.Run(ctx)) })
	running.Go(func() { report("viewer", l.watch(ctx)) })
	sending, stop := context.WithCancel(ctx)
	var senders sync.WaitGroup
	for truck := range trucks {
		senders.Go(func() {
			for n := truck; sending.Err() == nil; n += trucks {
				if err := l.send(ctx, n, fmt.Sprint("truck-", truck)); err != nil { // the last one too is sent until it is accepted
					report("send", err)
					return
				}
				_ = stay(sending, time.Duration(rand.IntN(120))*time.Millisecond)
			}
		})
	}
	for range times(2, 100) {
		_ = stay(ctx, 400*time.Millisecond+time.Duration(rand.IntN(600))*time.Millisecond)
		if err := g.Kill(ctx); err != nil {
			t.Fatal(err)
		}
		if err := g.Restart(ctx); err != nil {
			t.Fatal(err)
		}
		before := l.count()
		if err := until(ctx, "commands to be accepted again", func() bool { return l.count() > before }); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	senders.Wait()
	if err := until(ctx, "all commands to end", func() bool { return l.open() == 0 }); err != nil {
		t.Errorf("%d of %d commands did not end: %v", l.open(), len(l.accepted), err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.check(t)
}

func (l *commandLedger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.accepted)
}
