package redisbus

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/fleetcast/fleetcast/devices"
)

func TestDeadLettersOfAllDoorsAreKeptWithinTheirBound(t *testing.T) {
	s := startServer(t)
	same := func(o *Options) { o.Prefix = "letters" }
	one, two := open(t, s.url(), same), open(t, s.url(), same)
	for n := range 3 * lettersPerReason {
		from := one
		if n%2 == 1 {
			from = two
		}
		if err := from.KeepLetters(t.Context(), []devices.DeadLetter{
			{At: int64(n), Reason: "truncated", Topic: "a/b", Payload: []byte{0xff, byte(n)}, Bytes: 9},
			{At: int64(n), Reason: fmt.Sprint("reason ", n%2), Topic: "a/b"},
		}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := two.Letters(t.Context(), []string{"truncated", "never"})
	if err != nil || len(got) != lettersPerReason {
		t.Fatalf("%d letters, %v", len(got), err)
	}
	last := 3*lettersPerReason - 1
	if l := got[0]; l.At != int64(last) || !bytes.Equal(l.Payload, []byte{0xff, byte(last)}) || l.Bytes != 9 || l.Topic != "a/b" {
		t.Errorf("the newest is %+v", l)
	}
	if got, err = one.Letters(t.Context(), []string{"reason 0", "reason 1"}); err != nil || len(got) != 2*lettersPerReason {
		t.Errorf("%d letters, %v", len(got), err)
	}
	if err := one.client.LPush(t.Context(), one.lettersKey("never"), "{").Err(); err != nil {
		t.Fatal(err)
	}
	if got, err = one.Letters(t.Context(), []string{"never"}); err != nil || len(got) != 0 || one.counters[countBadMessage].Load() != 1 {
		t.Errorf("what is no letter gives %+v, %v", got, err)
	}
}
