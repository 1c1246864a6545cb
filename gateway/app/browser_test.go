package app

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/fleetcast/fleetcast/sse/dashboard"
	"github.com/fleetcast/fleetcast/sse/dashboard/browsertest"
)

// The article's hook, word for word, in a real React page in a real Chromium, against the real gateway with real devices.
// Whatever happens to the connection, the page shows the newest state without a line of code for it.
func TestTheArticlesPageIsUpToDateWhateverHappens(t *testing.T) {
	program(t, "mosquitto_pub")
	g := startGateway(t)
	url := g.url("") // of the next gateway too
	article := browsertest.ServeArticle(t, func() string { return url })
	line := newLine(t, strings.TrimSuffix(strings.TrimPrefix(article, "http://"), "/"))
	browser := browsertest.Start(t)

	shows := func(id string, speed int) {
		t.Helper()
		browser.WaitFor(fmt.Sprintf(`JSON.parse(document.querySelector('[data-id="%s"]').dataset.asset).speed === %d`, id, speed))
	}
	drive := func(id string, speed int) {
		t.Helper()
		g.telemetry("north", id, fmt.Sprintf(`{"lat":48.8,"lon":2.3,"speed":%d}`, speed))
	}

	drive("truck-1", 1)
	drive("truck-2", 1)
	browser.Open("http://" + line.addr() + "/")
	shows("truck-1", 1)
	shows("truck-2", 1)

	drive("truck-1", 2) // live
	shows("truck-1", 2)

	line.cut() // the connection breaks, and what happens meanwhile is not lost
	drive("truck-2", 3)
	drive("truck-3", 3)
	line.mend()
	shows("truck-2", 3)
	shows("truck-3", 3)
	drive("truck-1", 4)
	shows("truck-1", 4)

	g.stop() // the gateway restarts: its memory is gone, and so is every position
	g = startGateway(t, g.samePorts)
	for i := 1; i <= 3; i++ {
		drive(fmt.Sprintf("truck-%d", i), 5)
	}
	for i := 1; i <= 3; i++ {
		shows(fmt.Sprintf("truck-%d", i), 5)
	}
	drive("truck-2", 6)
	shows("truck-2", 6)
	if errs := browser.Errors(); len(errs) > 0 {
		t.Errorf("the console says %q", errs)
	}
}

// A line is a TCP connection that can be cut: a proxy that knows bytes only.
type line struct {
	t        *testing.T
	listener net.Listener
	to       string
	running  sync.WaitGroup

	mu    sync.Mutex
	isCut bool
	conns map[net.Conn]struct{}
}

func newLine(t *testing.T, to string) *line {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{t: t, listener: listener, to: to, conns: map[net.Conn]struct{}{}}
	l.running.Go(l.accept)
	t.Cleanup(func() {
		listener.Close()
		l.cut()
		l.running.Wait()
	})
	return l
}

func (l *line) addr() string { return l.listener.Addr().String() }

// cut breaks every connection, and each new one until mend.
func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isCut = true
	for c := range l.conns {
		c.Close()
	}
}

func (l *line) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isCut = false
}

func (l *line) accept() {
	for {
		from, err := l.listener.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", l.to)
		if err != nil {
			from.Close()
			continue
		}
		if !l.take(from, to) {
			continue
		}
		l.running.Go(func() { l.carry(from, to) })
		l.running.Go(func() { l.carry(to, from) })
	}
}

func (l *line) take(from, to net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isCut {
		from.Close()
		to.Close()
		return false
	}
	l.conns[from], l.conns[to] = struct{}{}, struct{}{}
	return true
}

func (l *line) carry(from, to net.Conn) {
	_, _ = io.Copy(to, from)
	from.Close()
	to.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, from)
	delete(l.conns, to)
}

// The first admin signs up by the link of the first start and sees the fleet; who comes later signs in.
func TestThePageAsksWhoIsThereAndThenShowsTheFleet(t *testing.T) {
	banner := &syncBuffer{}
	g := startGateway(t, requireViewers, func(o *Options) { o.Report.Banner = banner })
	g.telemetry("north", "truck-1", `{"lat":48.8,"lon":2.3}`)
	_, link, found := strings.Cut(banner.String(), "sign up  ")
	if !found {
		t.Fatal(banner.String())
	}
	link, _, _ = strings.Cut(link, "\n")
	fill := func(browser *browsertest.Browser, title string) {
		t.Helper()
		browser.WaitFor(fmt.Sprintf(`document.querySelector('dialog').open && document.querySelector('dialog h2').textContent === %q`, title))
		browser.Eval(`(() => {
			const { name, password } = document.querySelector('dialog form').elements
			name.value = 'root'; password.value = 'correct horse battery'
			document.querySelector('dialog form').requestSubmit()
		})()`, nil)
		browser.WaitFor(`!document.querySelector('dialog').open && document.querySelector('.row:not([hidden]) .name, .row:not([hidden])') !== null`)
		browser.WaitFor(`document.documentElement.dataset.stream === 'connected'`)
	}
	first := browsertest.Start(t)
	first.Open(strings.Replace(link, "/#", dashboard.SimplePath+"#", 1))
	if dir := os.Getenv("FLEETCAST_SCREENSHOTS"); dir != "" {
		first.WaitFor(`document.querySelector('dialog').open`)
		first.Screenshot(filepath.Join(dir, "signup.png"))
	}
	fill(first, "Set up the first admin")
	first.WaitFor(`location.hash === ''`)
	second := browsertest.Start(t)
	second.Open(g.url(dashboard.SimplePath))
	fill(second, "Sign in")
}
