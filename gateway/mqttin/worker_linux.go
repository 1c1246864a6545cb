package mqttin

import (
	"runtime"
)

// This file is who does the poller's work.

// worker is a goroutine that processes what came.
type worker struct {
	poller *poller
	helper bool // guarded by poller.mu
}

// appoint starts a runner. It needs p.mu.
func (p *poller) appoint() {
	w := &worker{poller: p}
	p.runner, p.working = w, false
	p.workers.Go(func() {
		for p.goesOn(w) {
			p.look()
			p.work(w)
		}
	})
}

func (p *poller) goesOn(w *worker) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.runner == w && !p.ended
}

// leave makes another the runner where w is.
func (w *worker) leave() {
	p := w.poller
	p.mu.Lock()
	p.leaveTo(w)
	p.mu.Unlock()
	p.broker.committer.signal()
}

// leaveTo needs p.mu.
func (p *poller) leaveTo(w *worker) {
	if w.helper {
		w.helper = false
		p.helpers--
	}
	if p.runner == w && !p.ended {
		p.appoint()
	}
}

// relieve makes another the runner where the one there is has been at one connection since relief was wound up.
func (p *poller) relieve() {
	p.mu.Lock()
	served := p.served.Load()
	stuck := p.working && !p.ended && served == p.watched
	if stuck {
		p.leaveTo(p.runner)
	}
	if p.relieving = !p.ended && (stuck || served != p.watched); p.relieving {
		p.relief.Reset(reliefAfter / 2)
	}
	p.watched = served
	p.mu.Unlock()
	if stuck {
		p.broker.committer.signal()
	}
}

// work serves connections until none is waiting.
func (p *poller) work(w *worker) {
	for c := p.pop(w); c != nil; c = p.pop(w) {
		p.serve(w, c)
		p.served.Add(1)
	}
	p.broker.committer.signal()
}

// pop returns the next connection, or nil, and gets help where many wait.
func (p *poller) pop(w *worker) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next == len(p.ready) {
		clear(p.ready)
		p.ready, p.next = p.ready[:0], 0
		if p.runner == w {
			p.working = false
		}
		if w.helper {
			w.helper = false
			p.helpers--
		}
		return nil
	}
	c := p.ready[p.next]
	p.next++
	if len(p.ready)-p.next > manyReady*(p.helpers+1) && p.helpers < runtime.GOMAXPROCS(0)-1 {
		p.helpers++
		helper := &worker{poller: p, helper: true}
		p.workers.Go(func() { p.work(helper) })
	}
	return c
}

// serve processes what came on a connection that is claimed. A worker that waits for it leaves.
func (p *poller) serve(w *worker, c *conn) {
	fd := c.socket().fd // it does not change while the socket is claimed
	if w != nil {
		c.worker = w
	}
	what, err := p.broker.readWhatCame(c)
	switch what {
	case released:
	case hasMore:
		p.putBack(c)
	case ended:
		p.forget(fd)
		go func() {
			defer p.broker.talking.Done()
			p.broker.depart(c, err)
			c.socket().let()
		}()
	}
}
