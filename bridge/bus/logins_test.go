package bus

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

func FuzzLogins(f *testing.F) {
	good := []LoginMark{{"truck-17", "mosq-1"}, {"", "open"}}
	f.Add(AppendLogins(nil, 7, good))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, b []byte) {
		door, logins, err := DecodeLogins(b)
		if err != nil {
			if !errors.Is(err, ErrWireMalformed) || logins != nil {
				t.Errorf("%v, %v", logins, err)
			}
			return
		}
		again := AppendLogins(nil, door, logins)
		if len(logins) > MaxLogins || len(again) > len(b) {
			t.Errorf("%d logins of %d bytes", len(logins), len(b))
		}
		if d, l, err := DecodeLogins(again); err != nil || d != door || !slices.Equal(l, logins) || !bytes.Equal(AppendLogins(nil, d, l), again) {
			t.Errorf("not the same again: %v", err)
		}
	})
}
