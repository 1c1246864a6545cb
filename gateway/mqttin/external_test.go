package mqttin

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

func TestAnExternalBrokersMessagesReachTheInlet(t *testing.T) {
	o := startOuter(t)
	d := openDoor(t, UpstreamOptions{URLs: []string{"mqtt://" + o.address}, ClientID: "door"})
	d.ready(t)
	o.publish("-q", "1", "-t", topicOne, "-m", `{"n":1,"lat":1,"lon":2}`)
	o.publish("-q", "0", "-t", topicOne, "-m", `{"n":2}`)
	o.publish("-q", "2", "-t", topicOne, "-m", `{"n":3}`)
	o.publish("-q", "1", "-t", "owntracks/ann/phone", "-m", `{"_type":"location","tid":"an","lat":48.85833,"lon":2.29513,"tst":1795353543}`)
	o.publish("-q", "1", "-t", "fleets/north/devices/truck-1/status", "-m", "online")
	o.publish("-q", "1", "-t", topicOne, "-m", `not JSON`)
	o.publish("-q", "1", "-t", "elsewhere", "-m", `{"n":9}`)
	o.publish("-q", "1", "-t", topicOne, "-m", `{"n":4}`) // what is refused holds nothing up
	eventually(t, "all", func() bool {
		return hasAll(count(d.inlet), 1, 5) && len(d.inlet.of(bus.KindReading, "ann:phone")) == 1 && len(d.inlet.of(bus.KindStatus, "truck-1")) == 1
	})
	if got := d.inlet.of(bus.KindConnection, ""); len(got) != 0 {
		t.Errorf("connection events of devices that are not connected here: %v", got)
	}
	if got := d.inlet.of(bus.KindStatus, "truck-1")[0].Status; got != (bus.StatusReport{Status: devices.Online}) {
		t.Errorf("status %+v", got)
	}
	if got := d.inlet.metric("n"); !slices.Equal(got, []float64{1, 2, 3, 4}) {
		t.Errorf("readings %v", got)
	}
	if s := d.Stats(); s.Connections != 1 || s.Rejected == [len(s.Rejected)]uint64{} {
		t.Errorf("stats %+v", s)
	}
	if err := d.stop(); err != nil {
		t.Error(err)
	}
	if d.Ready() == nil {
		t.Error("ready when stopped")
	}
}

// Nothing is acknowledged that the inlet does not have, and what is not acknowledged comes again.
func TestWithoutTheInletNothingIsAcknowledged(t *testing.T) {
	o := startOuter(t)
	r := startRelay(t, o.address)
	d := openDoor(t, UpstreamOptions{URLs: []string{"mqtt://" + r.Addr().String()}, ClientID: "door", ReceiveMaximum: 8})
	d.ready(t)
	d.inlet.failNext(1 << 30)
	o.say(topicOne, 0, 20)
	eventually(t, "the outage shows", func() bool { return d.Ready() != nil && d.Stats().Queued == 8 })
	r.cut() // what was not acknowledged comes again on the next connection, and not more than that
	eventually(t, "the redelivery", func() bool { return d.Stats().Queued == 16 })
	d.inlet.failNext(0)
	eventually(t, "all", func() bool { return hasAll(count(d.inlet), 0, 20) && d.Ready() == nil })
	if err := d.stop(); err != nil {
		t.Error(err)
	}
	eventually(t, "the broker has read all of it", r.isIdle)
	// A second life with the same id finds nothing that is still owed.
	again := openDoor(t, UpstreamOptions{URLs: []string{"mqtt://" + o.address}, ClientID: "door"})
	again.ready(t)
	o.say(topicOne, 20, 21)
	eventually(t, "the new one", func() bool { return len(again.inlet.metric("n")) > 0 })
	if got := again.inlet.metric("n"); !slices.Equal(got, []float64{20}) {
		t.Errorf("came again after an acknowledgement: %v", got)
	}
	if !strings.Contains(again.log.String(), "session_present=true") {
		t.Errorf("log %s", again.log)
	}
}

// A door that dies with messages in hand has acknowledged none of them: the next one gets them all.
func TestADoorThatDiesLosesNothing(t *testing.T) {
	o := startOuter(t)
	r := startRelay(t, o.address)
	first := openDoor(t, UpstreamOptions{URLs: []string{"mqtt://" + r.Addr().String()}, ClientID: "door", Limits: Limits{Stop: 100 * time.Millisecond}})
	first.ready(t)
	first.inlet.failNext(1 << 30)
	o.say(topicOne, 0, 50)
	eventually(t, "the messages are there", func() bool { return first.Stats().Queued == 50 })
	r.swallow(true)
	if err := first.stop(); err == nil {
		t.Error("a stop that lost messages is told as a good one")
	}
	r.cut()
	second := openDoor(t, UpstreamOptions{URLs: []string{"mqtt://" + o.address}, ClientID: "door"})
	eventually(t, "all", func() bool { return hasAll(count(second.inlet), 0, 50) })
}

func TestTheBrokerMayRestart(t *testing.T) {
	o := startOuter(t)
	d := openDoor(t, UpstreamOptions{URLs: []string{"mqtt://" + o.address}, ClientID: "door", ReceiveMaximum: 16})
	d.ready(t)
	o.say(topicOne, 0, 30)
	release := d.inlet.hold()
	o.say(topicOne, 30, 100) // most of them wait at the broker
	o.stop(syscall.SIGTERM)
	eventually(t, "the loss shows", func() bool { return d.Ready() != nil && d.Stats().Connections == 0 })
	release()
	o.start()
	d.ready(t)
	o.say(topicOne, 100, 120)
	eventually(t, "all", func() bool { return hasAll(count(d.inlet), 0, 120) })
	if d.event(UpstreamLost)+d.event(UpstreamUnreachable) == 0 {
		t.Error("nothing was counted")
	}
	if n := d.event(UpstreamSessionLost); n != 0 {
		t.Errorf("%d sessions lost", n)
	}
}

// A broker that forgets us is told of, and subscribed to again.
func TestASessionThatTheBrokerForgotIsTold(t *testing.T) {
	o := startOuter(t)
	d := openDoor(t, UpstreamOptions{URLs: []string{"mqtt://" + o.address}, ClientID: "door"})
	d.ready(t)
	o.stop(syscall.SIGKILL) // its sessions are in memory only
	eventually(t, "the loss shows", func() bool { return d.Ready() != nil })
	o.start()
	eventually(t, "the count", func() bool { return d.event(UpstreamSessionLost) == 1 })
	d.ready(t)
	o.say(topicOne, 0, 3)
	eventually(t, "all", func() bool { return hasAll(count(d.inlet), 0, 3) })
}

func TestTwoDoorsShareTheLoadAndBothHearStatuses(t *testing.T) {
	o := startOuter(t)
	one := openDoor(t, UpstreamOptions{URLs: []string{"mqtt://" + o.address}, ClientID: "door-1"})
	two := openDoor(t, UpstreamOptions{URLs: []string{"mqtt://" + o.address}, ClientID: "door-2"})
	other := openDoor(t, UpstreamOptions{URLs: []string{"mqtt://" + o.address}, ClientID: "door-3", Group: "other"})
	one.ready(t)
	two.ready(t)
	other.ready(t)
	o.say(topicOne, 0, 100)
	o.publish("-q", "1", "-t", "fleets/north/devices/truck-1/status", "-m", "offline")
	eventually(t, "all", func() bool {
		return hasAll(count(one.inlet, two.inlet), 0, 100) && hasAll(count(other.inlet), 0, 100) &&
			len(one.inlet.of(bus.KindStatus, "")) > 0 && len(two.inlet.of(bus.KindStatus, "")) > 0
	})
	for n, times := range count(one.inlet, two.inlet) {
		if times != 1 {
			t.Errorf("message %d came %d times", n, times)
		}
	}
	if a, b := len(one.inlet.metric("n")), len(two.inlet.metric("n")); a == 0 || b == 0 {
		t.Errorf("%d and %d messages", a, b)
	}
}

// What the broker had before proves nothing about now.
func TestRetainedMessagesAreNoSignOfLife(t *testing.T) {
	for _, unshared := range []bool{false, true} {
		t.Run(fmt.Sprintf("unshared %v", unshared), func(t *testing.T) {
			o := startOuter(t)
			o.publish("-q", "1", "-r", "-t", topicOne, "-m", `{"n":1}`)
			o.publish("-q", "1", "-r", "-t", "fleets/north/devices/truck-1/status", "-m", "online")
			d := openDoor(t, UpstreamOptions{URLs: []string{"mqtt://" + o.address}, ClientID: "door", Unshared: unshared})
			d.ready(t)
			eventually(t, "the status", func() bool { return len(d.inlet.of(bus.KindStatus, "")) == 1 })
			o.publish("-q", "1", "-r", "-t", topicOne, "-m", `{"n":2}`) // live, though it is to be retained
			o.publish("-q", "1", "-r", "-t", "fleets/north/devices/truck-1/status", "-m", "offline")
			want := []float64{2} // a group gets nothing that was retained
			if unshared {
				want = []float64{1, 2}
			}
			eventually(t, "the live ones", func() bool { return len(d.inlet.metric("n")) == len(want) && len(d.inlet.of(bus.KindStatus, "")) == 2 })
			if got := d.inlet.metric("n"); !slices.Equal(got, want) {
				t.Errorf("readings %v", got)
			}
			for i, e := range d.inlet.of(bus.KindReading, "") {
				if e.Reading.Retained != (unshared && i == 0) {
					t.Errorf("reading %d is retained: %v", i, e.Reading.Retained)
				}
			}
			statuses := d.inlet.of(bus.KindStatus, "")
			if statuses[0].Status != (bus.StatusReport{Status: devices.Online, Retained: true}) || statuses[1].Status != (bus.StatusReport{Status: devices.Offline}) {
				t.Errorf("statuses %+v", statuses)
			}
		})
	}
}

func TestAWrongPasswordIsToldAndNotShown(t *testing.T) {
	o := prepareOuter(t, "allow_anonymous false")
	file := filepath.Join(t.TempDir(), "passwords")
	if out, err := exec.Command(program(t, "mosquitto_passwd"), "-b", "-c", file, "door", "right").CombinedOutput(); err != nil {
		t.Fatalf("mosquitto_passwd: %v: %s", err, out)
	}
	conf, err := os.ReadFile(o.conf)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(o.conf, append(conf, "password_file "+file+"\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	o.start()
	const secret = "hunter2-s3cret"
	d := openDoor(t, UpstreamOptions{URLs: []string{"mqtt://door:" + secret + "@" + o.address}, ClientID: "door"})
	eventually(t, "attempts", func() bool { return d.event(UpstreamRefused) >= 5 })
	told := strings.Count(d.log.String(), "bad user name or password") + strings.Count(d.log.String(), "not authorized")
	if told == 0 || told >= 5 {
		t.Errorf("%d lines for 5 attempts: %s", told, d.log)
	}
	ready := d.Ready()
	if ready == nil || devices.KindOf(ready) != devices.Unavailable || !strings.Contains(ready.Error(), "refused") {
		t.Errorf("ready: %v", ready)
	}
	if strings.Contains(d.log.String(), secret) || strings.Contains(ready.Error(), secret) {
		t.Error("the password is shown")
	}
	right := openDoor(t, UpstreamOptions{URLs: []string{"mqtt://door:right@" + o.address}, ClientID: "door-2"})
	right.ready(t)
}

func TestABrokerThatIsDownAtTheStartIsWaitedFor(t *testing.T) {
	o := prepareOuter(t)
	d := openDoor(t, UpstreamOptions{URLs: []string{"mqtt://" + o.address}, ClientID: "door"})
	eventually(t, "attempts", func() bool { return d.event(UpstreamUnreachable) >= 3 })
	if err := d.Ready(); err == nil || !strings.Contains(err.Error(), "cannot be reached") {
		t.Errorf("ready: %v", err)
	}
	o.start()
	d.ready(t)
	o.say(topicOne, 0, 3)
	eventually(t, "all", func() bool { return hasAll(count(d.inlet), 0, 3) })
}

func TestTheSecondAddressIsTriedWhereTheFirstIsDown(t *testing.T) {
	down, o := prepareOuter(t), startOuter(t)
	d := openDoor(t, UpstreamOptions{URLs: []string{"mqtt://" + down.address, "mqtt://" + o.address}, ClientID: "door"})
	d.ready(t)
}

func TestABlackHoleIsNoticedByTheKeepAlive(t *testing.T) {
	t.Parallel() // it waits
	o := startOuter(t)
	r := startRelay(t, o.address)
	d := openDoor(t, UpstreamOptions{URLs: []string{"mqtt://" + r.Addr().String(), "mqtt://" + o.address}, ClientID: "door", KeepAlive: time.Second})
	d.ready(t)
	r.swallow(true)
	eventually(t, "the loss", func() bool { return d.event(UpstreamLost) > 0 })
	r.Close() // the next attempt goes to the other address
	d.ready(t)
	o.say(topicOne, 0, 3)
	eventually(t, "all", func() bool { return hasAll(count(d.inlet), 0, 3) })
}

// Two clients with one id throw each other out. They must not do it as fast as they can.
func TestTwoDoorsWithOneIDSlowDown(t *testing.T) {
	o := startOuter(t)
	options := UpstreamOptions{URLs: []string{"mqtt://" + o.address}, ClientID: "door", RetryFirst: 20 * time.Millisecond, RetryMost: time.Minute}
	one, two := openDoor(t, options), openDoor(t, options)
	eventually(t, "both were thrown out", func() bool { return one.event(UpstreamLost) > 1 && two.event(UpstreamLost) > 1 })
	o.say(topicOne, 0, 3)
	eventually(t, "all", func() bool { return hasAll(count(one.inlet, two.inlet), 0, 3) })
}

func TestABrokerThatRefusesTheSubscriptionIsToldOf(t *testing.T) {
	o := startOuter(t, "allow_anonymous true", "acl_file "+writeACL(t, "topic read nothing\n"))
	d := openDoor(t, UpstreamOptions{URLs: []string{"mqtt://" + o.address}, ClientID: "door", Unshared: true})
	// Mosquitto accepts a subscription that its ACL denies and sends nothing; one that is too deep it refuses.
	d.ready(t)
	bad := openDoor(t, UpstreamOptions{URLs: []string{"mqtt://" + startFake(t).address()}, ClientID: "door"})
	eventually(t, "the refusal", func() bool { return bad.event(UpstreamNotSubscribed) >= 2 })
	if err := bad.Ready(); err == nil {
		t.Error("ready without a subscription")
	}
	eventually(t, "the line", func() bool { return strings.Contains(bad.log.String(), "0x87") })
}

func writeACL(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "acl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
