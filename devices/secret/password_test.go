package secret

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

func TestWhoWaitsTooLongForAHashIsToldToComeAgain(t *testing.T) {
	p := NewPasswords(1)
	hash := HashPassword([]byte("some password"))
	p.gate <- struct{}{} // somebody hashes
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range maxHashWaiters {
		wg.Go(func() {
			_, err := p.Verify(ctx, []byte("some password"), hash, time.Now())
			wantBusy(t, err)
		})
	}
	for p.waiting.Load() < maxHashWaiters {
		<-time.After(time.Millisecond)
	}
	_, err := p.Verify(context.Background(), []byte("some password"), hash, time.Now())
	wantBusy(t, err)
	cancel()
	wg.Wait()
}

func BenchmarkAPasswordsLogin(b *testing.B) {
	p := NewPasswords(1)
	hash := HashPassword([]byte("some password"))
	for b.Loop() {
		if ok, err := p.Verify(context.Background(), []byte("wrong password"), hash, time.Now()); ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

func wantBusy(t *testing.T, err error) {
	t.Helper()
	if devices.KindOf(err) != devices.Exhausted {
		t.Errorf("%v, want that it comes again", err)
	}
}
