package browsertest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/heapprofiler"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"
)

const (
	actionTimeout = 30 * time.Second // one command to it
	waitTimeout   = 30 * time.Second // until a condition holds
	stopTimeout   = 10 * time.Second // until a page is closed
	pollInterval  = 50 * time.Millisecond
)

// Browser is one Chromium with one page, of one test. Its methods end the test where they fail, so they are for the
// test's own goroutine.
type Browser struct {
	t   testing.TB
	ctx context.Context //nolint:containedctx // chromedp keeps the browser in a context; it lives as long as the test

	mu     sync.Mutex
	errors []string
}

// Start opens a page in a headless Chromium, with a profile of its own, and closes it when the test ends. Where TestMain
// has called Sharing all tests of the process use one Chromium; else it is the test's own.
func Start(t testing.TB) *Browser {
	t.Helper()
	ctx := newPage(t)
	b := &Browser{t: t, ctx: ctx}
	var watching sync.WaitGroup
	t.Cleanup(func() {
		polite, stop := context.WithTimeout(ctx, stopTimeout)
		defer stop()
		if err := chromedp.Cancel(polite); err != nil {
			t.Logf("close page: %v", err)
		}
		watching.Wait()
	})
	messages := chromedp.Console(ctx)
	watching.Go(func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			b.note(m)
		}
	})
	b.Resize(1280, 800)
	return b
}

// note keeps what a page should not say. Messages about the network are left out: a connection that the test cuts is
// one of them.
func (b *Browser) note(m chromedp.ConsoleMessage) {
	if m.Source == "network" || (m.Type != chromedp.ConsoleError && m.Type != chromedp.ConsoleWarning && !m.IsException()) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.errors = append(b.errors, fmt.Sprintf("%s: %s (%s:%d)", m.Type, m.Text, m.URL, m.Line+1))
}

// Errors returns the exceptions, errors and warnings of the console so far, without those about the network.
func (b *Browser) Errors() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.errors...)
}

// Open loads a URL and waits for its load event.
func (b *Browser) Open(url string) {
	b.t.Helper()
	b.do("open "+url, chromedp.Navigate(url))
}

// Resize sets the size of the page in CSS pixels, one device pixel each.
func (b *Browser) Resize(width, height int64) {
	b.t.Helper()
	b.do("resize", chromedp.EmulateViewport(width, height))
}

// ResizeCoarse sets the size of the page in CSS pixels, half a device pixel each: a map that is drawn without a graphics
// card has a quarter of the pixels, and everything stands where it stood.
func (b *Browser) ResizeCoarse(width, height int64) {
	b.t.Helper()
	b.do("resize", chromedp.EmulateViewport(width, height, chromedp.EmulateScale(0.5)))
}

// ResizePhone makes the page that of a phone: two device pixels each, touch.
func (b *Browser) ResizePhone(width, height int64) {
	b.t.Helper()
	b.do("resize", chromedp.EmulateViewport(width, height, chromedp.EmulateScale(2), chromedp.EmulateMobile, chromedp.EmulateTouch))
}

// Prefer sets a media feature, for example prefers-color-scheme to dark. It replaces those set before.
func (b *Browser) Prefer(feature, value string) {
	b.t.Helper()
	b.do("emulate "+feature, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: feature, Value: value}},
		})
		return err
	}))
}

// Click clicks at a place of the page in CSS pixels.
func (b *Browser) Click(x, y float64) {
	b.t.Helper()
	b.do("click", chromedp.MouseClickXY(x, y))
}

// Keys types keys into what has the focus; named keys are those of the kb package of chromedp.
func (b *Browser) Keys(keys string) {
	b.t.Helper()
	b.do("type", chromedp.KeyEvent(keys))
}

// Eval evaluates a JavaScript expression, waits for it if it is a promise, and decodes the result into out unless that
// is nil.
func (b *Browser) Eval(expression string, out any) {
	b.t.Helper()
	if err := b.eval(expression, out); err != nil {
		b.t.Fatalf("evaluate %s: %v\nconsole: %q", expression, err, b.Errors())
	}
}

func (b *Browser) eval(expression string, out any) error {
	ctx, cancel := context.WithTimeout(b.ctx, actionTimeout)
	defer cancel()
	raw, err := chromedp.Run(ctx, chromedp.Evaluate[[]byte](expression, chromedp.EvalAwaitPromise))
	if err != nil || out == nil {
		return err
	}
	return json.Unmarshal(raw, out)
}

// WaitFor waits until a JavaScript expression is truthy. An expression that throws is not true yet: elements may not be
// there.
func (b *Browser) WaitFor(condition string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, waitTimeout)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		var holds bool
		err := b.eval("Promise.resolve("+condition+").then(Boolean)", &holds)
		if err == nil && holds {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			var text string
			_ = b.eval("document.body.innerText", &text)
			b.t.Fatalf("waited %v in vain for %s (last error: %v)\nconsole: %q\npage:\n%.2000s", waitTimeout, condition, err, b.Errors(), text)
		}
	}
}

// Metrics returns the browser's own measures of the page (Performance.getMetrics). Durations are seconds of the main
// thread's processor time: what other programs take of the machine is not in them.
func (b *Browser) Metrics() map[string]float64 {
	b.t.Helper()
	out := map[string]float64{}
	b.do("read metrics", chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		params := performance.EnableParams{TimeDomain: performance.EnableTimeDomainThreadTicks}
		if _, err := cdp.Call(ctx, target, performance.Enable, params); err != nil {
			return err
		}
		result, err := cdp.Call(ctx, target, performance.GetMetrics, cdp.Empty{})
		if err != nil {
			return err
		}
		for _, m := range result.Metrics {
			out[m.Name] = m.Value
		}
		return nil
	}))
	return out
}

// Heap returns how many bytes of JavaScript's heap are in use once all garbage is collected.
func (b *Browser) Heap() float64 {
	b.t.Helper()
	b.do("collect garbage", chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, heapprofiler.CollectGarbage, cdp.Empty{})
		return err
	}))
	return b.Metrics()["JSHeapUsedSize"]
}

// Screenshot writes what the window shows as a PNG.
func (b *Browser) Screenshot(path string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, actionTimeout)
	defer cancel()
	image, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatalf("take screenshot: %v", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatalf("make folder of screenshot: %v", err)
	}
	if err := os.WriteFile(path, image, 0o644); err != nil {
		b.t.Fatalf("write screenshot: %v", err)
	}
}

func (b *Browser) do(what string, action chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, actionTimeout)
	defer cancel()
	if err := chromedp.Do(ctx, action); err != nil {
		b.t.Fatalf("%s: %v\nconsole: %q", what, err, b.Errors())
	}
}

// find returns the path of the first of names that is installed, or ends the test.
func find(t testing.TB, what string, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missing(t, "%s is not installed (looked for %v)", what, names)
	return ""
}

// missing skips the test, or fails it in CI: there a skipped test is a test that nobody runs.
func missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}
