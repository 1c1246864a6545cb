package prove

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// shortRun is a run against a fake. settle bounds how long a run whose promises are broken looks for what it is owed.
func (f *fake) shortRun(settle time.Duration) Options {
	return Options{
		URLs: []string{f.http.URL}, MQTT: []string{f.mqtt.Addr().String()}, Devices: 6, Rate: 40, Viewers: 4, Seed: 1,
		Prefix: "p", For: 600 * time.Millisecond, Settle: settle, Terms: durable(), ResumeEvery: 200 * time.Millisecond,
	}
}

func prove(t *testing.T, o Options) (Report, error) {
	t.Helper()
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Run(t.Context())
	if total := r.Delivered + r.Superseded + r.Declared + r.Totals.Lost + r.Unpromised + r.Unasked; total != r.Sent*int64(r.Viewers) {
		t.Errorf("the books do not add up: %+v", r.Totals)
	}
	return r, err
}

const long = 30 * time.Second

func TestAnHonestGatewayPasses(t *testing.T) {
	f := startFake(t, lies{})
	r, err := prove(t, f.shortRun(long))
	if err != nil || r.Totals.Lost != 0 || r.Acked != r.Sent || r.Probes == 0 || r.Streams <= 4 {
		t.Errorf("%v: %+v", err, r)
	}
}

func TestAnHonestGatewayPassesWhileItIsRestarted(t *testing.T) {
	f := startFake(t, lies{})
	o := f.shortRun(long)
	o.For, o.Faults, o.FaultEvery, o.FaultCount, o.NoResets = 0, []Fault{f.restart()}, 50*time.Millisecond, 5, true
	r, err := prove(t, o)
	if err != nil || r.Faults < 5 || r.Kept != 5 || r.Resets != 0 || len(r.Recoveries) != 5 || r.WholeMax == 0 {
		t.Errorf("%v: %+v", err, r)
	}
}

func TestAGatewayWithoutAMemoryPassesWhereThatIsSaid(t *testing.T) {
	f := startFake(t, lies{forget: true})
	o := f.shortRun(long)
	o.For, o.Faults, o.FaultEvery, o.FaultCount = 0, []Fault{f.restart()}, 100*time.Millisecond, 3
	o.Durable = false
	r, err := prove(t, o)
	if err != nil || r.Resets == 0 || r.Declared == 0 {
		t.Errorf("%v: %+v", err, r)
	}
}

// Each lie must end a run as a breach of its kind: a ledger that cannot fail proves nothing.
func TestEachLieIsFound(t *testing.T) {
	const short = 300 * time.Millisecond
	for _, c := range []struct {
		name   string
		lies   lies
		change func(f *fake, o *Options)
		want   Kind
	}{
		{"a device's frames are dropped after ready", lies{hide: func(id string, snapshot bool) bool {
			return id == "p-3" && !snapshot
		}}, func(_ *fake, o *Options) { o.ResumeEvery = 0 }, Lost},
		{"a device is in no snapshot", lies{hide: func(id string, snapshot bool) bool {
			return id == "p-3" && snapshot
		}}, func(*fake, *Options) {}, Hole},
		{"a message is acknowledged and its content is nowhere", lies{swallow: func(id string, seq int) bool {
			return id == "p-2" && seq == 3
		}}, func(*fake, *Options) {}, Overtaken},
		{"what is acknowledged is never there", lies{swallow: func(id string, seq int) bool {
			return id == "p-2" && seq > 3
		}}, func(*fake, *Options) {}, NotKept},
		{"a device steps back", lies{again: func(id string, seq int) bool {
			return id == "p-1" && seq >= 2 // one of them may be coalesced, and a busy machine sends few
		}}, func(*fake, *Options) {}, Backwards},
		{"nothing is acknowledged", lies{mute: true}, func(*fake, *Options) {}, Unacked},
		{"a restart forgets what was acknowledged", lies{forget: true}, func(f *fake, o *Options) {
			o.For, o.Faults, o.FaultEvery, o.FaultCount = 0, []Fault{f.restart()}, short, 1
		}, NotKept},
		{"a reset where none may be", lies{forget: true}, func(f *fake, o *Options) {
			o.For, o.Faults, o.FaultEvery, o.FaultCount, o.NoResets = 0, []Fault{f.restart()}, short, 1, true
		}, Declared},
		{"streams go on as if nothing was lost", lies{forget: true, keepID: true}, func(f *fake, o *Options) {
			o.For, o.Faults, o.FaultEvery, o.FaultCount, o.Durable = 0, []Fault{f.restart()}, short, 1, false
		}, Unannounced},
		{"it does not come back", lies{}, func(f *fake, o *Options) {
			o.For, o.FaultEvery, o.FaultCount = 0, short, 1
			o.Faults = []Fault{{Name: "end", Break: func(context.Context) error { f.gone.Store(true); f.cut(false); return nil }}}
		}, Unrecovered},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := startFake(t, c.lies)
			o := f.shortRun(2 * time.Second) // on a busy machine little is through sooner
			c.change(f, &o)
			r, err := prove(t, o)
			if !errors.Is(err, ErrBreached) || r.Breaches[c.want] == 0 {
				t.Errorf("%v: breaches %v, none is %s", err, r.Breaches, c.want)
			}
		})
	}
}

func TestNothingToProveIsNoPass(t *testing.T) {
	edge := httptest.NewServer(http.NotFoundHandler())
	defer edge.Close()
	f := startFake(t, lies{})
	o := f.shortRun(100 * time.Millisecond)
	o.URLs = []string{edge.URL}
	r, err := prove(t, o)
	if err == nil || r.Refusals == 0 || len(r.Answers) != 1 {
		t.Errorf("%v: %+v", err, r)
	}
	f = startFake(t, lies{})
	o = f.shortRun(long)
	o.Faults, o.FaultEvery, o.For = []Fault{f.restart()}, time.Hour, 100*time.Millisecond
	if _, err := prove(t, o); !errors.Is(err, ErrNothing) {
		t.Errorf("no fault was made: %v", err)
	}
}

func TestAFaultThatCannotBeMadeEndsTheRun(t *testing.T) {
	f := startFake(t, lies{})
	o := f.shortRun(long)
	trouble := errors.New("no such program")
	o.Faults = []Fault{{Name: "broken", Break: func(context.Context) error { return trouble }}}
	o.FaultEvery = time.Millisecond
	if _, err := prove(t, o); !errors.Is(err, trouble) {
		t.Errorf("%v", err)
	}
}

func TestAnEndedContextEndsTheSendingAndTheLastLookIsTaken(t *testing.T) {
	f := startFake(t, lies{})
	o := f.shortRun(long)
	o.For = 0
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	r, err := p.Run(ctx)
	if err != nil || r.Audits != 1 || r.Acked == 0 {
		t.Errorf("%v: %+v", err, r)
	}
	if _, err := p.Run(ctx); !errors.Is(err, ErrRunTwice) {
		t.Errorf("run twice: %v", err)
	}
}

func TestWrongOptionsAreRefused(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"no edge":         func(o *Options) { o.URLs = nil },
		"no door":         func(o *Options) { o.MQTT = nil },
		"no scheme":       func(o *Options) { o.URLs = []string{"127.0.0.1:8080"} },
		"no devices":      func(o *Options) { o.Devices = 0 },
		"no viewers":      func(o *Options) { o.Viewers = 0 },
		"no rate":         func(o *Options) { o.Rate = 0 },
		"two are not one": func(o *Options) { o.URLs = append(o.URLs, o.URLs[0]) },
		"a wrong fleet":   func(o *Options) { o.Fleet = "a/b" },
		"a wrong prefix":  func(o *Options) { o.Prefix = "a+" },
	} {
		o := Options{URLs: []string{"http://h"}, MQTT: []string{"h:1"}, Devices: 1, Viewers: 1, Rate: 1, Terms: durable()}
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestTheReportIsForPeopleAndForPrograms(t *testing.T) {
	f := startFake(t, lies{})
	r, err := prove(t, f.shortRun(long))
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := r.WriteText(&text); err != nil || !strings.Contains(text.String(), "silently lost 0") {
		t.Errorf("%v: %s", err, text.String())
	}
	data, err := json.Marshal(r)
	if err != nil || !strings.Contains(string(data), `"silently_lost":0`) {
		t.Errorf("%v: %s", err, data)
	}
}
