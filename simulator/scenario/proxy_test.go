package scenario

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/simulator/prove"
)

// proxy passes connections on to one address. While it is shut it takes what comes and passes nothing on, in neither
// direction; what was under way arrives later, as after a network that was away.
type proxy struct {
	address string
	to      string
	listen  net.Listener
	ctx     context.Context //nolint:containedctx // the test's life, which ends the dialing
	running sync.WaitGroup

	mu    sync.Mutex // guards what follows
	open  chan struct{}
	conns map[net.Conn]struct{}
	ended bool
}

func startProxy(t *testing.T, to string) *proxy {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	p := &proxy{to: to, ctx: ctx, open: make(chan struct{}), conns: map[net.Conn]struct{}{}}
	close(p.open)
	var err error
	if p.listen, err = (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	p.address = p.listen.Addr().String()
	p.running.Go(p.accept)
	t.Cleanup(func() {
		cancel()
		p.end()
		p.running.Wait()
	})
	return p
}

func (p *proxy) end() {
	p.listen.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	for c := range p.conns {
		c.Close()
	}
}

// keep takes a connection over; false means that it is too late.
func (p *proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		c.Close()
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *proxy) drop(c net.Conn) {
	c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

func (p *proxy) accept() {
	for {
		c, err := p.listen.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.pass(c) })
	}
}

func (p *proxy) pass(in net.Conn) {
	if !p.keep(in) {
		return
	}
	defer p.drop(in)
	if !p.wait() {
		return
	}
	out, err := (&net.Dialer{Timeout: time.Second}).DialContext(p.ctx, "tcp", p.to)
	if err != nil || !p.keep(out) {
		return
	}
	defer p.drop(out)
	back := make(chan struct{})
	go func() { // ends with the connections, and this function waits for it
		defer close(back)
		p.copy(in, out)
	}()
	p.copy(out, in)
	<-back
}

// copy passes one direction on until it ends, and then ends both.
func (p *proxy) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if !p.wait() {
			return
		}
		if _, writeErr := to.Write(buffer[:n]); err != nil || writeErr != nil {
			return // io.EOF among them
		}
	}
}

// wait returns when the proxy is open; false means that the test is over.
func (p *proxy) wait() bool {
	p.mu.Lock()
	open := p.open
	p.mu.Unlock()
	select {
	case <-open:
		return true
	case <-p.ctx.Done():
		return false
	}
}

// blackHole is the fault of a network that swallows everything for a time.
func (p *proxy) blackHole(length time.Duration) prove.Fault {
	return prove.Fault{
		Name: "black hole",
		Break: func(context.Context) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.open = make(chan struct{})
			return nil
		},
		Mend: func(ctx context.Context) error {
			err := stay(ctx, length)
			p.mu.Lock()
			defer p.mu.Unlock()
			close(p.open)
			return err
		},
	}
}

func TestTheProxyPassesNothingWhileItIsShut(t *testing.T) {
	t.Parallel()
	echo, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() {
		if c, err := echo.Accept(); err == nil {
			defer c.Close()
			_, _ = io.Copy(c, c)
		}
	})
	p := startProxy(t, echo.Addr().String())
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	says := func(word string, patience time.Duration) bool {
		_ = c.SetDeadline(time.Now().Add(patience))
		got := make([]byte, len(word))
		_, err := io.ReadFull(c, got)
		return err == nil && string(got) == word
	}
	_, _ = io.WriteString(c, "one")
	if !says("one", patience) {
		t.Fatal("nothing comes back")
	}
	f := p.blackHole(0)
	if err := f.Break(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, "two")
	if says("two", 50*time.Millisecond) {
		t.Error("it passes on what it should swallow")
	}
	if err := f.Mend(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !says("two", patience) {
		t.Error("what was under way did not arrive")
	}
	c.Close()
}
