package fleet

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetcast/fleetcast/simulator/internal/testbroker"
)

func TestDroppedDevicesComeBackAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &pipeBroker{}
		f := newFleet(t, b, Options{Devices: 40, Rate: 1, For: 60 * time.Second})
		done := make(chan error, 1)
		go func() { done <- f.Run(t.Context()) }()
		<-time.After(20 * time.Second)
		if n := f.Drop(0.5, 0); n != 20 {
			t.Errorf("%d of 40 were dropped", n)
		}
		<-time.After(100 * time.Millisecond)
		synctest.Wait()
		if c := f.Counts(); c.Connected != 40 || c.Connects != 60 || c.Faults.Dropped != 20 {
			t.Errorf("after a storm: %+v", c)
		}
		f.Drop(1, 10*time.Second)
		<-time.After(3 * time.Second)
		synctest.Wait()
		if c := f.Counts(); c.Connected < 3 || c.Connected > 37 {
			t.Errorf("%d are back after 3 of 10 s", c.Connected)
		}
		<-time.After(8 * time.Second)
		synctest.Wait()
		if c := f.Counts(); c.Connected != 40 || c.Trouble.Lost != 0 {
			t.Errorf("%+v", c)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestVanishedDevicesSayNothingAndComeBackLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &pipeBroker{}
		f := newFleet(t, b, Options{Devices: 40, Rate: 1, KeepAlive: 15 * time.Second, For: 2 * time.Minute})
		done := make(chan error, 1)
		go func() { done <- f.Run(t.Context()) }()
		<-time.After(20*time.Second + 5*time.Millisecond) // between two messages
		synctest.Wait()
		before := b.telemetry()
		if n := f.Vanish(1, time.Minute, 10*time.Second); n != 40 {
			t.Errorf("%d of 40 vanished", n)
		}
		<-time.After(50 * time.Second) // the broker closes nothing here, and the connections stand
		synctest.Wait()
		if c := f.Counts(); c.Connected != 0 || c.Connects != 40 || c.Faults.Vanished != 40 || b.telemetry() != before || b.cutOff() != 0 {
			t.Errorf("while they are dark: %+v, %d messages, %d connections ended", c, b.telemetry()-before, b.cutOff())
		}
		<-time.After(21 * time.Second)
		synctest.Wait()
		if c := f.Counts(); c.Connected != 40 || c.Connects != 80 || c.Trouble.Lost != 0 {
			t.Errorf("after it: %+v", c)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if b.cutOff() != 80 {
			t.Errorf("%d of 80 connections were ended with the fleet", b.cutOff())
		}
	})
}

func TestMessagesGoWrongAsOftenAsTheyShall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &pipeBroker{}
		f := newFleet(t, b, Options{Devices: 20, Rate: 2, QoS: 1, For: 100 * time.Second, Faults: Faults{Duplicates: 0.1, Disorder: 0.1, Malformed: 0.1}})
		if err := f.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the broker has counted what it read
		c := f.Counts()
		balanced(t, c)
		for name, n := range map[string]int64{"duplicates": c.Faults.Duplicates, "disordered": c.Faults.Disordered, "malformed": c.Faults.Malformed} {
			if n < 300 || n > 500 {
				t.Errorf("%d %s of 4000", n, name)
			}
		}
		if int64(b.telemetry()) != c.Sent || c.Sent < 4300 {
			t.Errorf("%+v; the broker saw %d", c, b.telemetry())
		}
		f.SetFaults(Faults{})
		if len(f.Owed()) != 20 {
			t.Errorf("%d devices are owed something", len(f.Owed()))
		}
	})
}

func TestEveryKindOfMalformedIsMade(t *testing.T) {
	seen := map[string]bool{}
	for i := range 5 {
		text := malform([]byte(`{"at":1,"lat":48.1,"lon":2.1,"speed":3}`), float64(i)/5)
		if i != 3 && json.Valid(text) { // that one is JSON of wrong types
			t.Errorf("%s is no malformed message", text)
		}
		seen[string(text)] = true
	}
	if len(seen) != 5 {
		t.Errorf("%v", seen)
	}
}

func TestClocksThatAreOffSayNoInstant(t *testing.T) {
	f, err := New(Options{MQTT: "h:1", Devices: 10, Rate: 1, ClockShare: 0.2, ClockOffset: -time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	off := 0
	for i := range f.devices {
		if f.devices[i].clock == -time.Hour {
			off++
		}
	}
	if off != 2 {
		t.Errorf("%d of 10 clocks are off", off)
	}
}

// What was acknowledged while a clock was off is owed to nobody: it says another time than it was.
func TestClocksGoOffForAWhileAndAreRightAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &pipeBroker{}
		f := newFleet(t, b, Options{Devices: 10, Rate: 1, QoS: 1, For: 60 * time.Second, Faults: Faults{ClockShare: 0.5, ClockOffset: -time.Hour}})
		done := make(chan error, 1)
		go func() { done <- f.Run(t.Context()) }()
		<-time.After(20 * time.Second)
		synctest.Wait()
		if owed, c := len(f.Owed()), f.Counts(); owed != 5 || c.Acked < 150 {
			t.Errorf("%d devices of 10 are owed something while 5 clocks are off: %+v", owed, c)
		}
		f.SetFaults(Faults{})
		if err := <-done; err != nil {
			t.Error(err)
		}
		if owed := len(f.Owed()); owed != 10 {
			t.Errorf("%d devices of 10 are owed something with all clocks right", owed)
		}
	})
}

func TestAcksSayWhatIsOwed(t *testing.T) {
	f, err := New(Options{MQTT: "h:1", Devices: 1, Rate: 1})
	if err != nil {
		t.Fatal(err)
	}
	f.start = time.UnixMilli(1795348800000)
	d := &f.devices[0]
	d.onAck(int64(newToken(3*time.Second, time.Minute, true)), 0)
	d.onAck(int64(newToken(2*time.Second, 0, true)), 0)
	d.onAck(int64(newToken(9*time.Second, 0, false)), 0)   // held back
	d.onAck(int64(newToken(9*time.Second, 0, true)), 0x97) // refused
	if owed := f.Owed(); len(owed) != 1 || owed[0].At != 1795348803000 {
		t.Errorf("%+v", owed)
	}
	token := newToken(200*time.Hour+1234567*time.Microsecond, 2500*time.Microsecond, true)
	if token.intended() != 200*time.Hour+1234567*time.Microsecond || token.sent()-token.intended() != 2500*time.Microsecond || !token.isLive() || token < 0 {
		t.Errorf("%v, %v", token.intended(), token.sent())
	}
	if late := newToken(0, time.Hour, false); late.sent() > 5*time.Second || late.isLive() {
		t.Errorf("%v", late.sent())
	}
}

// startTLS ends TLS before a broker.
func startTLS(t *testing.T, broker string) (address string, roots *x509.CertPool) {
	t.Helper()
	certificates := httptest.NewUnstartedServer(nil)
	certificates.StartTLS()
	certificates.Close()
	roots = x509.NewCertPool()
	roots.AddCert(certificates.Certificate())
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: certificates.TLS.Certificates, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	t.Cleanup(func() { l.Close() })
	running.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer in.Close()
				out, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", broker)
				if err != nil {
					return
				}
				defer out.Close()
				running.Go(func() {
					defer in.Close()
					defer out.Close()
					_, _ = io.Copy(out, in)
				})
				_, _ = io.Copy(in, out)
			})
		}
	})
	return l.Addr().String(), roots
}

func TestAFleetSpeaksTLSWithItsCredentialsAndTakesItselfOver(t *testing.T) {
	address, roots := startTLS(t, testbroker.Start(t))
	o := Options{MQTT: "mqtts://" + address, Devices: 6, Rate: 20, QoS: 1, ConnectRate: 1000, TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		o.Identities = append(o.Identities, Identity{Username: name, Password: "secret"})
	}
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { done <- f.Run(ctx) }()
	testbroker.Eventually(t, "messages are acked", func() bool { c := f.Counts(); return c.Acked >= 100 && c.Connected == 6 })
	f.Takeover(ctx, 1)
	if n := f.Counts().Faults.Takeovers; n != 6 {
		t.Errorf("%d of 6 were taken over", n)
	}
	testbroker.Eventually(t, "all came back", func() bool { c := f.Counts(); return c.Trouble.Lost >= 6 && c.Connected == 6 })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	balanced(t, f.Counts())
}
