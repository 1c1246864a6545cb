package registry

import (
	"context"

	"github.com/fleetcast/fleetcast/devices"
)

// maxNews bounds what a feed gathers by name while nobody reads it. Past it the reader is told to look at everything.
const maxNews = 10_000

// Feed gathers what changed since it was last read: not every step, but whose present state has to be looked at. It is
// for one goroutine.
type Feed struct {
	d    *directory
	wake chan struct{} // a token where there may be news

	news news // guarded by d.mu
	any  bool
}

// News is what a Feed gathered.
type News struct {
	All      bool                      // anything may have changed; the members below may not name it
	Devices  map[devices.DeviceID]bool // that changed; true: it was deleted since, whether or not it is there again
	Fleets   []devices.FleetID         // that changed
	Accounts []string                  // for whom Authenticate may say something else now
}

// feed begins one. Its first news is All where the directory is loaded already, so that nothing is missed between.
func (d *directory) feed() *Feed {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := &Feed{d: d, wake: make(chan struct{}, 1), news: newNews()}
	d.feeds[f] = struct{}{}
	if d.loaded {
		f.news.all, f.any = true, true
		f.wake <- struct{}{}
	}
	return f
}

// offer adds to what was gathered. The directory's lock is held; it never waits.
func (f *Feed) offer(n *news) {
	if !n.all && len(n.devices)+len(n.fleets)+len(n.accounts) == 0 {
		return
	}
	f.any = true
	f.news.all = f.news.all || n.all
	for id, deleted := range n.devices {
		f.news.devices[id] = f.news.devices[id] || deleted
	}
	for id := range n.fleets {
		f.news.fleets[id] = struct{}{}
	}
	for account := range n.accounts {
		f.news.accounts[account] = struct{}{}
	}
	if len(f.news.devices) > maxNews || len(f.news.fleets) > maxNews || len(f.news.accounts) > maxNews {
		f.forget()
	}
	select {
	case f.wake <- struct{}{}:
	default: // there is one already
	}
}

// forget gives up names for "anything". Deletions stay: they cannot be found by looking at what is there.
func (f *Feed) forget() {
	gone := newNews()
	gone.all = true
	for id, deleted := range f.news.devices {
		if deleted {
			gone.devices[id] = true
		}
	}
	f.news = gone
}

// C has a token where there may be news for Take.
func (f *Feed) C() <-chan struct{} { return f.wake }

// Take returns what was gathered and begins anew. It does not wait.
func (f *Feed) Take() (News, bool) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if !f.any {
		return News{}, false
	}
	n := News{All: f.news.all, Devices: f.news.devices}
	for id := range f.news.fleets {
		n.Fleets = append(n.Fleets, id)
	}
	for account := range f.news.accounts {
		n.Accounts = append(n.Accounts, account)
	}
	f.news, f.any = newNews(), false
	return n, true
}

// Next waits for news until ctx ends.
func (f *Feed) Next(ctx context.Context) (News, error) {
	for {
		if n, ok := f.Take(); ok {
			return n, nil
		}
		select {
		case <-f.wake:
		case <-ctx.Done():
			return News{}, ctx.Err()
		}
	}
}

// Close ends the feed. It may be called twice.
func (f *Feed) Close() {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	delete(f.d.feeds, f)
}
