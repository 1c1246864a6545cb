package prove

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// history writes a ledger by hand: one device, one viewer.
type history struct {
	*Ledger
	t *testing.T
}

func newHistory(t *testing.T, terms Terms) history {
	t.Helper()
	h := history{NewLedger(1, 1, terms), t}
	h.Open(0, 0, -1, h.Floor())
	h.Ledger.Ready(0)
	return h
}

// send numbers n messages and sends them in an era.
func (h history) send(n, era int) {
	for range n {
		h.Published(0, h.Sent(0), era)
	}
}

func (h history) ack(era int, seqs ...uint32) {
	for _, seq := range seqs {
		h.Acked(0, seq, era, time.Second)
	}
}

// full is the state after message seq where nothing is missing but what is listed.
func full(seq uint32, missing ...uint32) State {
	s := State{Seq: seq, At: int64(seq)}
	for j := uint32(1); j <= seq; j++ {
		lacks := false
		for _, m := range missing {
			lacks = lacks || m == j
		}
		if !lacks {
			s.Slots[j%Ring] = j
		}
	}
	return s
}

func (h history) show(seq uint32, missing ...uint32) {
	h.Shown(0, 0, full(seq, missing...), 2*time.Second)
}

// end closes the books and checks that every message has exactly one end, and how often what was broken.
func (h history) end(want map[Kind]int64) Totals {
	h.t.Helper()
	h.Close()
	got, examples := h.Breaches()
	for k, n := range want {
		if got[k] != n {
			h.t.Errorf("%s: %d breaches, want %d", k, got[k], n)
		}
	}
	for k, n := range got {
		if want[k] != n {
			h.t.Errorf("%s: %d breaches, want %d: %q", k, n, want[k], examples)
		}
	}
	t := h.Totals()
	if sum := t.Delivered + t.Superseded + t.Declared + t.Lost + t.Unpromised + t.Unasked; sum != t.Sent*int64(len(h.viewers)) {
		h.t.Errorf("the books do not add up: %+v", t)
	}
	return t
}

func durable() Terms { return Terms{Durable: true, OneEdge: true} }

func TestAllThatIsShownIsDelivered(t *testing.T) {
	h := newHistory(t, durable())
	h.send(20, 0)
	for seq := uint32(1); seq <= 20; seq++ {
		h.ack(0, seq)
		h.show(seq)
	}
	if got := h.end(nil); got.Delivered != 20 || got.Acked != 20 {
		t.Errorf("%+v", got)
	}
}

func TestWhatANewerOneReplacesIsSuperseded(t *testing.T) {
	h := newHistory(t, durable())
	h.send(5, 0)
	h.ack(0, 1, 2, 3, 4, 5)
	h.show(1)
	h.show(5)
	if got := h.end(nil); got.Delivered != 2 || got.Superseded != 3 {
		t.Errorf("%+v", got)
	}
}

func TestAnAcknowledgedMessageThatNobodyShowsIsLost(t *testing.T) {
	h := newHistory(t, durable())
	h.send(3, 0)
	h.ack(0, 1, 2, 3)
	h.show(1)
	if got := h.end(map[Kind]int64{Lost: 1}); got.Lost != 2 || got.Delivered != 1 {
		t.Errorf("%+v", got)
	}
}

func TestAMessageWithoutAPubackIsNotPromised(t *testing.T) {
	h := newHistory(t, durable())
	h.send(2, 0)
	h.ack(0, 1)
	h.show(1)
	if got := h.end(nil); got.Unpromised != 1 || got.Lost != 0 {
		t.Errorf("%+v", got)
	}
}

func TestANewerStateWithoutAnEarlierMessagesContentIsALoss(t *testing.T) {
	h := newHistory(t, durable())
	h.send(4, 0)
	h.ack(0, 1, 2, 3, 4)
	h.show(4, 2)
	h.show(4, 2) // told once
	if got := h.end(map[Kind]int64{Overtaken: 1}); got.Overtaken != 1 {
		t.Errorf("%+v", got)
	}
}

func TestARefusedMessageMayComeOutOfOrder(t *testing.T) {
	h := newHistory(t, durable())
	h.send(3, 0)
	h.Refused(0, 2)
	h.ack(0, 1, 3)
	h.show(3, 2)
	h.ack(0, 2)
	h.end(nil)
}

func TestADeviceThatStepsBackIsABreach(t *testing.T) {
	h := newHistory(t, durable())
	h.send(3, 0)
	h.ack(0, 1, 2, 3)
	h.show(3)
	h.show(2)
	h.end(map[Kind]int64{Backwards: 1})
}

func TestATimeThatStepsBackIsABreach(t *testing.T) {
	h := newHistory(t, durable())
	h.send(2, 0)
	h.show(1)
	s := full(2)
	s.At = 0
	h.Shown(0, 0, s, 0)
	h.end(map[Kind]int64{Backwards: 1})
}

func TestAResetDeclaresWhatAnInstallationWithoutAMemoryForgot(t *testing.T) {
	h := newHistory(t, Terms{OneEdge: true})
	h.send(5, 0)
	h.ack(0, 1, 2, 3, 4, 5)
	h.show(2)
	era := h.NextEra(true)
	h.Open(0, era, 0, h.Floor())
	h.Reset(0, "epoch")
	h.Ledger.Ready(0)
	if owed := h.Owed(); owed[0] != 0 {
		t.Errorf("%d is owed after everything was lost", owed[0])
	}
	h.send(1, era)
	h.ack(era, 6)
	h.show(6, 1, 2, 3, 4, 5)
	if got := h.end(nil); got.Delivered != 2 || got.Declared != 3 || got.Resets != 1 {
		t.Errorf("%+v", got)
	}
}

func TestAStreamThatGoesOnWithoutAResetAcrossALossIsABreach(t *testing.T) {
	h := newHistory(t, Terms{OneEdge: true})
	h.send(2, 0)
	h.ack(0, 1, 2)
	h.show(1)
	era := h.NextEra(true)
	h.Open(0, era, 0, h.Floor())
	h.Ledger.Ready(0)
	if got := h.end(map[Kind]int64{Unannounced: 1, Lost: 1}); got.Lost != 1 {
		t.Errorf("%+v", got)
	}
}

func TestAResetExcusesNoLossWhereAcknowledgedMeansKept(t *testing.T) {
	h := newHistory(t, durable())
	h.send(2, 0)
	h.ack(0, 1, 2)
	h.show(1)
	h.NextEra(true)
	h.Open(0, 1, 0, nil)
	h.Reset(0, "epoch")
	h.Ledger.Ready(0)
	if got := h.end(map[Kind]int64{Lost: 1}); got.Lost != 1 || got.Declared != 0 {
		t.Errorf("%+v", got)
	}
}

func TestAResetWhereNoneMayBeIsABreach(t *testing.T) {
	terms := durable()
	terms.NoResets = true
	h := newHistory(t, terms)
	h.Reset(0, "epoch")
	h.end(map[Kind]int64{Declared: 1})
}

func TestReadyWithLessThanWasShownBeforeIsAHole(t *testing.T) {
	l := NewLedger(1, 2, durable())
	l.Open(0, 0, -1, l.Floor())
	l.Published(0, l.Sent(0), 0)
	l.Acked(0, 1, 0, 0)
	l.Shown(0, 0, full(1), 0)
	l.Open(1, 0, -1, l.Floor())
	l.Ready(1)
	if got, _ := l.Breaches(); got[Hole] != 1 {
		t.Errorf("breaches: %v", got)
	}
	l.Open(0, 0, -1, nil) // with several edges nothing can be said
	l.Ready(0)
	l.Told("reader", []uint32{0}, 0, []uint32{1}, nil)
	if got, _ := l.Breaches(); got[Hole] != 2 {
		t.Errorf("breaches: %v", got)
	}
}

func TestWhatIsNotThereInTimeIsLostEvenIfItComesLater(t *testing.T) {
	h := newHistory(t, durable())
	h.send(2, 0)
	h.ack(0, 1, 2)
	if !h.Behind(0, h.Owed()) {
		t.Error("the viewer holds nothing and is not behind")
	}
	h.Settle(0, h.Owed())
	h.show(2)
	if got := h.end(map[Kind]int64{Lost: 1}); got.Lost != 2 || got.Delivered != 0 {
		t.Errorf("%+v", got)
	}
}

func TestAStateThatNobodySentIsABreach(t *testing.T) {
	h := newHistory(t, durable())
	h.send(1, 0)
	h.show(2)
	h.Shown(0, 0, State{Seq: 1, At: 1}, 0) // without its own metric
	h.end(map[Kind]int64{Invented: 2})
}

func TestAPubackReadAfterALossBelongsToWhatIsGone(t *testing.T) {
	h := newHistory(t, Terms{})
	h.send(1, 0)
	h.NextEra(true)
	h.ack(0, 1)
	if owed := h.Owed(); owed[0] != 0 {
		t.Errorf("%d is owed", owed[0])
	}
}

func TestADeviceIsAsStaleAsItsOldestUnseenMessage(t *testing.T) {
	h := newHistory(t, durable())
	h.send(3, 0)
	h.Acked(0, 1, 0, time.Second)
	h.Acked(0, 2, 0, 2*time.Second)
	h.Shown(0, 0, full(3), 5*time.Second)
	if w := h.Worst(1); w[0].Stale != 4*time.Second {
		t.Errorf("stale for %v", w[0].Stale)
	}
	h.end(nil)
}

func TestAnIDIsKeptWithTheLeastThatAnyHolderHolds(t *testing.T) {
	var table idTable
	id := "a"
	for ; len(table.keys) == 0; id += "a" { // until one that is chosen
		table.note(idKey{askAll, false, id}, []uint32{3, 5})
	}
	k, _, _ := table.pick()
	table.note(idKey{askAll, false, k.id}, []uint32{4, 2})
	if _, least, ok := table.pick(); !ok || least[0] != 3 || least[1] != 2 {
		t.Errorf("least %v", least)
	}
	table.clear()
	if _, _, ok := table.pick(); ok {
		t.Error("an id is left")
	}
}

func TestAMessageIsReadAsItWasWritten(t *testing.T) {
	n := names{prefix: "p"}
	at := time.UnixMilli(1795353543237)
	metrics := string(appendMessage(nil, 7, 33, at))
	const want = `{"at":1795353543237,"lat":48.007000,"lon":2.000330,"seq":33,"slot1":33}`
	if metrics != want {
		t.Errorf("message %s", metrics)
	}
	d, s, ours, err := n.parseAsset([]byte(`{"id":"p-7","at":1795353543237,"metrics":{"seq":33,"slot1":33,"slot0":32}}`), 8)
	if err != nil || !ours || d != 7 || s.Seq != 33 || s.At != at.UnixMilli() || s.Slots[1] != 33 || s.Slots[0] != 32 {
		t.Errorf("device %d, ours %v, %v: %+v", d, ours, err, s)
	}
	for _, foreign := range []string{`{"id":"p-8"}`, `{"id":"p-x"}`, `{"id":"q-1"}`, `{}`} {
		if _, _, ours, err := n.parseAsset([]byte(foreign), 8); ours || err != nil {
			t.Errorf("%s: ours %v, %v", foreign, ours, err)
		}
	}
}

func FuzzParseAsset(f *testing.F) {
	f.Add([]byte(`{"id":"p-7","at":1,"metrics":{"seq":33,"slot1":33}}`))
	f.Add([]byte(`{"id":"p-0","metrics":{"seq":-1,"slot1":"x"}}`))
	f.Add([]byte(`{"id":"p-99999999999999999999"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, _, ours, err := names{prefix: "p"}.parseAsset(data, 8)
		if (ours && err != nil) || (ours && (d < 0 || d > 7)) {
			t.Errorf("device %d, %v", d, err)
		}
	})
}

func TestADeviceThatSaidNothingYetIsNoBreachUntilItHasSpoken(t *testing.T) {
	n := names{prefix: "d"}
	_, silent, ours, err := n.parseAsset([]byte(`{"id":"d-0","fleet":"f","status":"online","received":5}`), 1)
	if err != nil || !ours || !silent.Silent {
		t.Fatalf("%+v, %v, %v", silent, ours, err)
	}
	if _, wrong, _, _ := n.parseAsset([]byte(`{"id":"d-0","fleet":"f","status":"online","received":5,"at":4}`), 1); wrong.Silent {
		t.Error("one that lost what it said is taken for one that said nothing")
	}
	h := newHistory(t, durable())
	h.Shown(0, 0, silent, 0)
	if counts, _ := h.Breaches(); len(counts) != 0 {
		t.Errorf("%v", counts)
	}
	h.send(1, 0)
	h.ack(0, 1)
	h.show(1)
	h.Shown(0, 0, silent, 0)
	if counts, _ := h.Breaches(); counts[Backwards] != 1 {
		t.Errorf("one that spoke is shown as one that did not: %v", counts)
	}
}

func TestWhatAViewerDoesNotAskForIsNotOwedAndItsStateIsWhenItDoes(t *testing.T) {
	h := newHistory(t, durable())
	h.send(1, 0)
	h.ack(0, 1)
	h.show(1)
	h.Look(0, []bool{false})
	h.send(2, 0)
	h.ack(0, 2, 3)
	if h.Behind(0, []uint32{3}) {
		t.Error("it is behind with what it does not see")
	}
	h.Look(0, nil)
	if !h.Behind(0, []uint32{3}) {
		t.Error("it is owed the newest state of what it sees again")
	}
	h.show(3)
	h.send(1, 0)
	h.ack(0, 4)
	h.show(4)
	h.Look(0, []bool{false}) // it leaves
	h.send(1, 0)
	h.ack(0, 5)
	if got := h.end(nil); got.Delivered != 2 || got.Unasked != 3 {
		t.Errorf("%+v", got)
	}
}

func TestWhatAMovedViewShowsAtItsReadyIsHeldToItsFloor(t *testing.T) {
	terms := durable()
	terms.NoResets = true
	h := newHistory(t, terms)
	h.Wanders(0)
	h.Look(0, []bool{false})
	h.send(2, 0)
	h.ack(0, 1, 2)
	h.Read("somebody else", 0, full(2), 0)
	h.Moving(0)
	if h.IsReady(0) {
		t.Error("it is ready while its view moves")
	}
	floor := h.Floor()
	h.Look(0, nil)
	h.Promise(0, floor)
	h.Ready(0)           // and nothing of it was shown
	h.Reset(0, "filter") // as after a reconnection, which no term forbids
	h.show(2)
	h.end(map[Kind]int64{Hole: 1})
}

func TestAViewerThatSeesADeviceAgainAndIsNotShownItHasLostIt(t *testing.T) {
	h := newHistory(t, durable())
	h.Look(0, []bool{false})
	h.send(1, 0)
	h.ack(0, 1)
	h.Look(0, nil)
	h.Settle(0, h.Owed())
	h.end(map[Kind]int64{Lost: 1})
}
