package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/simulator/units"
)

const (
	dialTimeout = 10 * time.Second
	// chunkBytes is read at a time, and heldChunks is what a direction holds at most while it is on its way.
	chunkBytes = 16 << 10
	heldChunks = 64
)

// Conditions are those of the network. The zero value is a good one.
type Conditions struct {
	// Latency is the way of each byte in each direction, and Jitter what is added to it at random, a chunk; order is kept.
	Latency, Jitter time.Duration
	// Bandwidth is that of each connection in each direction; 0 is unbounded.
	Bandwidth units.ByteRate
	// BlackHole takes what comes and passes nothing on. What was on its way arrives when it ends.
	BlackHole bool
	// Refuse ends new connections at once.
	Refuse bool
}

// Counts are what passed so far.
type Counts struct {
	Accepted int64 `json:"accepted"`
	Refused  int64 `json:"refused"` // since it was to, or nobody listened behind it
	Cut      int64 `json:"cut"`
	Up       int64 `json:"bytes_up"` // from who connected
	Down     int64 `json:"bytes_down"`
}

// Proxy passes connections on to one address. Run is called once; the other methods may be called from any goroutine.
type Proxy struct {
	to       string
	listener net.Listener
	running  sync.WaitGroup

	accepted, refused, cut, up, down atomic.Int64

	mu         sync.Mutex // guards what follows
	conditions Conditions
	open       chan struct{} // closed unless there is a black hole
	pairs      map[*pair]struct{}
	order      []*pair // as they came
	ended      bool
}

// pair is a connection and what it is passed on to.
type pair struct{ in, out net.Conn }

// New listens at an address, where 127.0.0.1:0 takes a free port. It passes nothing on before Run.
func New(ctx context.Context, listen, to string) (*Proxy, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("make proxy: %w", err)
	}
	p := &Proxy{to: to, listener: l, open: make(chan struct{}), pairs: map[*pair]struct{}{}}
	close(p.open)
	return p, nil
}

// Address is where it listens.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Counts returns the sums now.
func (p *Proxy) Counts() Counts {
	return Counts{Accepted: p.accepted.Load(), Refused: p.refused.Load(), Cut: p.cut.Load(), Up: p.up.Load(), Down: p.down.Load()}
}

// Set changes the conditions of all connections, those that stand included, and returns those before.
func (p *Proxy) Set(c Conditions) (before Conditions) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, p.conditions = p.conditions, c
	switch {
	case c.BlackHole && !before.BlackHole:
		p.open = make(chan struct{})
	case !c.BlackHole && before.BlackHole:
		close(p.open)
	}
	return before
}

// Cut resets a share of the connections, as a firewall does that forgets them. It returns how many.
func (p *Proxy) Cut(share units.Share) int {
	p.mu.Lock()
	var cut []*pair
	for i, c := range p.order {
		if share.Has(i) {
			cut = append(cut, c)
		}
	}
	p.mu.Unlock()
	for _, c := range cut {
		for _, conn := range []net.Conn{c.in, c.out} {
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0) // a reset instead of a goodbye; it fails where the connection is gone
			}
			_ = conn.Close()
		}
	}
	p.cut.Add(int64(len(cut)))
	return len(cut)
}

// Run passes connections on until ctx ends; then it ends them all and waits for them.
func (p *Proxy) Run(ctx context.Context) error {
	defer p.running.Wait()
	ctx, end := context.WithCancel(ctx)
	defer end()
	defer context.AfterFunc(ctx, p.end)()
	for {
		conn, err := p.listener.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("run proxy: %w", err)
		}
		if err != nil {
			continue // a connection that was gone before it was taken, or too many open files: the next may do
		}
		p.running.Go(func() { p.pass(ctx, conn) })
	}
}

func (p *Proxy) end() {
	_ = p.listener.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	for c := range p.pairs {
		_ = c.in.Close()
		_ = c.out.Close()
	}
}

func (p *Proxy) now() (Conditions, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conditions, p.open
}

func (p *Proxy) pass(ctx context.Context, in net.Conn) {
	defer in.Close()
	conditions, open := p.now()
	if conditions.Refuse {
		p.refused.Add(1)
		return
	}
	select {
	case <-open:
	case <-ctx.Done():
		return
	}
	out, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", p.to)
	if err != nil {
		p.refused.Add(1)
		return
	}
	defer out.Close()
	c := &pair{in, out}
	if !p.keep(c) {
		return
	}
	defer p.drop(c)
	p.accepted.Add(1)
	var both sync.WaitGroup
	both.Go(func() { p.carry(ctx, out, in, &p.up) })
	p.carry(ctx, in, out, &p.down)
	both.Wait()
}

func (p *Proxy) keep(c *pair) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return false
	}
	p.pairs[c] = struct{}{}
	p.order = append(p.order, c)
	return true
}

func (p *Proxy) drop(c *pair) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.pairs, c)
	for i := range p.order {
		if p.order[i] == c {
			p.order = append(p.order[:i], p.order[i+1:]...)
			return
		}
	}
}
