package mqttin

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// gone also for who was refused: the CONNACK has the code, and the connection ends.
func refusedWith(t *testing.T, h *harness, o connectOptions, want byte, why Reason) {
	t.Helper()
	before := h.event(why)
	r, body := attempt(t, h, o)
	if body == nil || body[1] != want {
		t.Errorf("version %d: CONNACK % x, want code %#x", o.version, body, want)
	}
	r.gone()
	eventually(t, "a count of "+why.String(), func() bool { return h.event(why) > before })
}

func TestALoginThatFailsIsToldWhyAndNoMore(t *testing.T) {
	auth := newFakeAuth(aDevice("truck-1", "north"))
	auth.errs = map[string]error{
		"disabled": devices.Errorf(devices.Forbidden, "", "is disabled"), "busy": devices.Errorf(devices.Exhausted, "", "too many"),
		"away": devices.Errorf(devices.Unavailable, "", "the store is away"), "broken": fmt.Errorf("a secret of ours"),
		"gone": devices.Errorf(devices.NotFound, "", "no such device"),
	}
	auth.accounts["nobody"] = devices.Principal{} // an authenticator that forgot to say who it is
	h := guarded(t, Options{}, auth)
	for _, c := range []struct {
		user, password string
		v5, v3         byte
		why            Reason
	}{
		{"truck-1", "wrong", 0x86, 5, LoginFailed},
		{"unknown", "right", 0x86, 5, LoginFailed},
		{"gone", "right", 0x86, 5, LoginFailed},
		{"", "", 0x86, 5, LoginFailed},
		{"disabled", "right", 0x87, 5, LoginForbidden},
		{"busy", "right", 0x97, 3, LoginExhausted},
		{"away", "right", 0x88, 3, LoginUnavailable},
		{"broken", "right", 0x80, 3, LoginBroken},
		{"nobody", "right", 0x80, 3, LoginBroken},
		{"long", strings.Repeat("x", maxPasswordBytes+1), 0x86, 5, LoginFailed},
		{strings.Repeat("x", maxUsernameBytes+1), "right", 0x86, 5, LoginFailed},
	} {
		refusedWith(t, h, connectOptions{version: 5, id: "c", user: c.user, password: c.password}, c.v5, c.why)
		refusedWith(t, h, connectOptions{version: 4, id: "c", user: c.user, password: c.password}, c.v3, c.why)
	}
	if n := h.Stats().Sessions; n != 0 {
		t.Errorf("%d sessions of who was refused", n)
	}
	h.well(t)
}

// Row 30: who guesses is not even looked at any more, and a device that is guessed at goes on from where it is.
func TestGuessingIsThrottledBeforeAnythingIsChecked(t *testing.T) {
	auth := newFakeAuth(aDevice("truck-1", "north"))
	h := guarded(t, Options{}, auth)
	for range accountBurst {
		refusedWith(t, h, connectOptions{version: 5, id: "c", user: "other", password: "wrong"}, 0x86, LoginFailed)
	}
	asked := auth.asked.Load()
	refusedWith(t, h, connectOptions{version: 5, id: "c", user: "other", password: "right"}, 0x9f, LoginThrottled)
	refusedWith(t, h, connectOptions{version: 4, id: "c", user: "other", password: "right"}, 3, LoginThrottled)
	if n := auth.asked.Load(); n != asked {
		t.Errorf("the authenticator was asked %d times more", n-asked)
	}
	h.well(t) // another account, from the same address
}

func TestFailuresAreCountedByNameAndByAddress(t *testing.T) {
	a, now := newAttempts(), time.Now()
	home, away := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")
	a.succeeded("truck-1", home)
	for i := range addressBurst {
		if !a.mayTry(fmt.Sprint("name-", i), away, now) {
			t.Fatalf("attempt %d is throttled", i)
		}
		a.failed(fmt.Sprint("name-", i), away, now)
	}
	if a.mayTry("fresh", away, now) {
		t.Error("an address may fail without end, with a new name each time")
	}
	if !a.mayTry("fresh", home, now) {
		t.Error("another address is throttled")
	}
	if !a.mayTry("fresh", away, now.Add(addressRefill)) {
		t.Error("an address is never forgiven")
	}
	for range accountBurst {
		a.failed("truck-1", netip.Prefix{}, now)
	}
	if a.mayTry("truck-1", netip.MustParsePrefix("192.0.2.3/32"), now) {
		t.Error("a name may be guessed without end, from a new address each time")
	}
	if !a.mayTry("truck-1", home, now) {
		t.Error("who guesses at a device locks it out")
	}
	if !a.mayTry("truck-1", away, now.Add(time.Hour)) {
		t.Error("a name is never forgiven")
	}
}

func TestTheMemoryOfFailuresIsBounded(t *testing.T) {
	a, now := newAttempts(), time.Now()
	for i := range 3 * maxTracked {
		group := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
		a.failed(fmt.Sprint(i), group, now)
		a.succeeded(fmt.Sprint(i), group)
	}
	if len(a.byAccount.full) > maxTracked || len(a.byAddress.full) > maxTracked || len(a.good) > maxTracked {
		t.Errorf("%d names, %d addresses, %d good ones", len(a.byAccount.full), len(a.byAddress.full), len(a.good))
	}
}

func TestAnAuthenticatorThatHangsHoldsUpLoginsAndNothingElse(t *testing.T) {
	auth := newFakeAuth(aDevice("truck-1", "north"))
	h := guarded(t, Options{Limits: Limits{Logins: 2, Login: 100 * time.Millisecond}}, auth)
	r, _ := connect(t, h, as("truck-1"))
	auth.mu.Lock()
	held := make(chan struct{})
	auth.held = held
	auth.mu.Unlock()
	asked := auth.asked.Load()
	for range 5 {
		dial(t, h).send(connectPacket(as("witness")))
	}
	eventually(t, "five timeouts", func() bool { return h.event(LoginUnavailable) == 5 })
	if n := auth.asked.Load() - asked; n > 5 {
		t.Errorf("asked %d times", n)
	}
	r.publish("fleets/north/devices/truck-1/telemetry", `{}`, 1, 1)
	r.expect(0x40, 1)
	auth.mu.Lock()
	auth.held = nil
	auth.mu.Unlock()
	close(held)
	h.well(t)
}

// Row 10, and finding 5: the session belongs to the credential.
func TestAClientIDBelongsToTheAccountThatUsesIt(t *testing.T) {
	h := guarded(t, Options{}, newFakeAuth(aDevice("truck-1", "north"), aDevice("truck-2", "north"), aGateway("lora", "north")))
	mine := as("truck-1")
	mine.id = "made-up" // any id that nobody else uses
	first, _ := connect(t, h, mine)
	theirs := as("truck-2")
	theirs.id = "made-up"
	refusedWith(t, h, theirs, 0x85, ClientIDTaken)
	theirs.version = 4
	refusedWith(t, h, theirs, 2, ClientIDTaken)
	first.ping() // and is not thrown out

	mine.keep, mine.expiry = true, 60
	kept, _ := connect(t, h, mine)
	_ = kept.Close()
	eventually(t, "the end", func() bool { return h.Stats().Connections == 0 })
	refusedWith(t, h, theirs, 2, ClientIDTaken) // a kept session is as good
	_, connack := connect(t, h, mine)
	if connack[0] != 1 {
		t.Error("its own account does not get the session back")
	}
}

func TestADeviceGetsItsOwnNameAsClientIDWhoeverUsesIt(t *testing.T) {
	h := guarded(t, Options{}, newFakeAuth(aDevice("truck-1", "north"), aDevice("squatter", "north")))
	o := as("squatter")
	o.id, o.keep, o.expiry = "truck-1", true, 600
	squatter, _ := connect(t, h, o)
	squatter.send(subscribePacket(5, 1, "fleets/north/devices/squatter/commands/#"))
	squatter.expect(0x90, 1)
	mine := as("truck-1")
	mine.keep, mine.expiry = true, 600
	r, connack := connect(t, h, mine)
	if connack[0] != 0 {
		t.Error("the device goes on with the session of another account")
	}
	squatter.gone()
	r.ping()
	if h.sessionOf("truck-1").wants("fleets/north/devices/squatter/commands/1") {
		t.Error("the device has the subscriptions of another account")
	}
}

func TestAnAccountHasABoundedNumberOfSessions(t *testing.T) {
	h := guarded(t, Options{Limits: Limits{SessionsPerAccount: 3}}, newFakeAuth(aDevice("truck-1", "north")))
	o := as("truck-1")
	for i := range 3 {
		o.id = fmt.Sprint("c", i)
		o.keep, o.expiry = i == 0, 600
		r, _ := connect(t, h, o)
		if i == 0 { // kept
			_ = r.Close()
			eventually(t, "the end", func() bool { return h.Stats().Connections == 0 })
		}
	}
	o.keep, o.expiry = false, 0
	o.id = "c3"
	connect(t, h, o) // in the place of the kept one
	if h.sessionOf("c0") != nil {
		t.Error("the kept session is still there")
	}
	o.id = "c4"
	refusedWith(t, h, o, 0x97, AccountLimit)
	o.id = "c3"
	connect(t, h, o) // a takeover is no further session
	h.well(t)
}

func TestAnAccountThatConnectsWithoutEndIsSlowed(t *testing.T) {
	h := guarded(t, Options{Limits: Limits{LoginsPerMinute: 5}}, newFakeAuth(aDevice("truck-1", "north"), aDevice("truck-2", "north")))
	for i := range 5 { // each with a client id of its own, so that nothing is taken over
		o := as("truck-1")
		o.id = fmt.Sprint("made-up-", i)
		r, _ := connect(t, h, o)
		_ = r.Close()
	}
	o := as("truck-1")
	o.id = "one-more"
	refusedWith(t, h, o, 0x9f, LoginRate)
	o.version = 4
	refusedWith(t, h, o, 3, LoginRate)
	r, _ := connect(t, h, as("truck-2")) // others do not mind
	r.ping()
	now := time.Now()
	account := &holder{}
	for range 5 {
		if !account.mayConnect(now, 5) {
			t.Fatal("too soon")
		}
	}
	if account.mayConnect(now.Add(11*time.Second), 5) || !account.mayConnect(now.Add(12*time.Second), 5) {
		t.Error("one comes back every 12 s")
	}
	h.well(t)
}

func TestPingPongTakeoversAreSlowed(t *testing.T) {
	h := guarded(t, Options{}, newFakeAuth(aDevice("truck-1", "north")))
	connect(t, h, as("truck-1"))
	for range flapBurst {
		connect(t, h, as("truck-1"))
	}
	refusedWith(t, h, as("truck-1"), 0x8a, Flapping)
	if s := h.sessionOf("truck-1"); s == nil || s.client.Closed() {
		t.Error("the connected one was thrown out")
	}
	h.well(t)
}

// Row 34: revocation ends connections at once, also those that are on their way in.
func TestARevokedCredentialEndsItsConnectionsAndSessions(t *testing.T) {
	auth := newFakeAuth(aDevice("truck-1", "north"), aDevice("truck-2", "north"))
	h := guarded(t, Options{}, auth)
	o := as("truck-1")
	o.willTopic, o.will = "fleets/north/devices/truck-1/status", "offline"
	r, _ := connect(t, h, o)
	r.publish("fleets/north/devices/truck-1/telemetry", `{}`, 1, 1)
	r.expect(0x40, 1)
	away := as("truck-1")
	away.id, away.keep, away.expiry = "away", true, 600
	kept, _ := connect(t, h, away)
	_ = kept.Close()
	other, _ := connect(t, h, as("truck-2"))
	eventually(t, "two connections", func() bool { return h.Stats().Connections == 2 })
	auth.set(t, "truck-1", devices.Principal{})
	if first, body := r.read(); first != 0xe0 || body[0] != 0x98 {
		t.Errorf("got %#x % x", first, body)
	}
	r.gone()
	eventually(t, "the end of its sessions", func() bool { return h.Stats().Sessions == 1 })
	other.ping()
	refusedWith(t, h, as("truck-1"), 0x86, LoginFailed)
	h.counted(t, Revoked)
	if got := h.inlet.of(bus.KindStatus, "truck-1"); len(got) != 0 {
		t.Errorf("the will of a revoked credential is heard: %+v", got)
	}
	auth.set(t, "truck-2", aDevice("truck-2", "south")) // moved to another fleet
	other.gone()
	connect(t, h, as("truck-2"))
}

func TestACredentialThatIsRevokedWhileItIsCheckedDoesNotGetIn(t *testing.T) {
	auth := newFakeAuth(aDevice("truck-1", "north"))
	h := guarded(t, Options{}, auth)
	stale := auth.accounts["truck-1"]
	stale.Version = 7 // as if the answer were older than the change
	b := h.Broker
	if b.auth.Holds(&stale) {
		t.Fatal("the test asks nothing")
	}
	auth.mu.Lock()
	auth.accounts["slow"] = stale // whoever signs in as slow gets the old answer about truck-1
	auth.mu.Unlock()
	r, _ := attempt(t, h, as("slow"))
	r.gone()
	h.counted(t, Revoked)
}

func TestACredentialThatExpiresEndsItsConnection(t *testing.T) {
	t.Parallel() // it waits
	p := aDevice("truck-1", "north")
	p.Expires = time.Now().Add(50 * time.Millisecond)
	late := aDevice("truck-2", "north")
	late.Expires = time.Now().Add(-time.Second)
	h := guarded(t, Options{}, newFakeAuth(p, late))
	refusedWith(t, h, as("truck-2"), 0x86, LoginFailed)
	if r, body := attempt(t, h, as("truck-1")); body != nil && body[1] == 0 {
		r.gone()
		h.counted(t, CredentialExpired)
	}
	h.well(t)
}

func TestRevocationReachesAPeerThatDoesNotRead(t *testing.T) {
	auth := newFakeAuth(aDevice("truck-1", "north"))
	h := guarded(t, Options{Limits: Limits{Write: time.Hour}}, auth)
	r := h.pipe(t, as("truck-1"))
	r.publish("fleets/north/devices/truck-1/telemetry", `{}`, 1, 1) // the PUBACK hangs
	eventually(t, "the commit", func() bool { return len(h.inlet.of(bus.KindReading, "truck-1")) == 1 })
	auth.set(t, "truck-1", devices.Principal{})
	eventually(t, "the end", func() bool { return h.Stats().Connections == 0 })
}

func TestWhoSendsMoreThanItsRateIsHeldBackAndLosesNothing(t *testing.T) {
	p := aDevice("truck-1", "north")
	p.Rates = devices.Rates{Messages: 50, Burst: 1}
	q := aDevice("truck-2", "north")
	q.Rates = devices.Rates{Bytes: 10, Burst: 1}
	h := guarded(t, Options{}, newFakeAuth(p, q))
	r, _ := connect(t, h, as("truck-1"))
	const n = 60
	for i := range uint16(n) {
		r.publish("fleets/north/devices/truck-1/telemetry", `{"n":1}`, 1, i+1)
	}
	h.well(t) // another is not held back
	for i := range uint16(n) {
		r.expect(0x40, i+1)
	}
	h.counted(t, RatePaused)
	if got := len(h.inlet.metric("n")); got != n {
		t.Errorf("%d readings", got)
	}
	_ = r.Close()
	second, _ := connect(t, h, as("truck-1")) // who comes again has no new burst
	if s := h.sessionOf("truck-1"); s.holder.meter.isFull(time.Now()) {
		t.Error("a new connection may send a whole burst again")
	}
	second.ping()
	over, _ := connect(t, h, as("truck-2"))
	over.publish("fleets/north/devices/truck-2/telemetry", strings.Repeat("x", 10_000), 1, 1)
	if first, body := over.read(); first != 0xe0 || body[0] != 0x96 {
		t.Errorf("got %#x % x", first, body)
	}
	h.counted(t, RateExceeded)
}
