package browsertest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

const (
	startTimeout = time.Minute      // a cold Chromium on a busy machine
	quitTimeout  = 10 * time.Second // from the polite request to the kill
)

var chromiumNames = []string{"chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome"}

// InsecureHost is a name under which a server on this machine is what http is elsewhere: no secure context.
const InsecureHost = "fleet.test"

// chromium is a process of Chromium.
type chromium struct {
	ctx  context.Context //nolint:containedctx // chromedp keeps the browser in a context
	free context.CancelFunc
}

func launch(path string, logf func(string, ...any)) (*chromium, error) {
	// chromedp makes the profile in a temporary folder and removes it once the last of Chromium's processes is gone;
	// t.TempDir would try while some of them still write, and fail the test.
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.Flag("headless", "new"),
		chromedp.NoSandbox, // containers and CI run tests as root, for whom Chromium refuses its sandbox
		// The map is drawn with WebGL, which a machine without a graphics card does in software.
		chromedp.Flag("use-angle", "swiftshader"),
		chromedp.Flag("enable-unsafe-swiftshader", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", "MAP "+InsecureHost+" 127.0.0.1"),
		chromedp.WindowSize(1280, 800),
	)
	allocator, freeAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator, chromedp.WithLogf(logf), chromedp.WithErrorf(logf))
	c := &chromium{ctx: ctx, free: func() { cancel(); freeAllocator() }}
	// The first command starts the browser and must carry its whole life's context, so it gets no timeout of its own.
	giveUp := time.AfterFunc(startTimeout, cancel)
	err := chromedp.Do(ctx)
	giveUp.Stop()
	if err != nil {
		c.free()
		return nil, fmt.Errorf("start chromium: %w", err)
	}
	return c, nil
}

func (c *chromium) quit() error {
	defer c.free()
	polite, stop := context.WithTimeout(c.ctx, quitTimeout)
	defer stop()
	return chromedp.Cancel(polite)
}

// shared is the Chromium of all tests of a process.
var shared struct {
	mu      sync.Mutex
	wanted  bool
	browser *chromium
	dir     string // what all tests use; it ends with them
}

// sharedDir is a folder of all tests of the process, or the test's own where they share nothing.
func sharedDir(t testing.TB) string {
	t.Helper()
	if !shared.wanted {
		return t.TempDir()
	}
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.dir == "" {
		dir, err := os.MkdirTemp("", "browsertest-") //nolint:usetesting // it outlives the test
		if err != nil {
			t.Fatalf("make folder of the tests: %v", err)
		}
		shared.dir = dir
	}
	return shared.dir
}

// Runner is a testing.M.
type Runner interface{ Run() int }

// Sharing lets all tests of the process use one Chromium, which is started by the first and ends when all are done. Each
// has a profile of its own in it. Starting one takes seconds, more than most tests. For TestMain:
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(browsertest.Sharing(m)) }
func Sharing(m Runner) Runner {
	shared.wanted = true
	return sharing{m}
}

type sharing struct{ Runner }

// Run runs the tests, and ends the Chromium that they shared.
func (s sharing) Run() int {
	code := s.Runner.Run()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.dir != "" {
		if err := os.RemoveAll(shared.dir); err != nil {
			complain("remove folder of the tests: %v", err)
		}
	}
	if shared.browser == nil {
		return code
	}
	if err := shared.browser.quit(); err != nil {
		complain("stop chromium: %v", err)
	}
	return code
}

// complain is for what is no one test's.
func complain(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// newPage returns the context of a page of a new profile.
func newPage(t testing.TB) context.Context {
	t.Helper()
	path := find(t, "Chromium", chromiumNames...)
	if !shared.wanted {
		own, err := launch(path, t.Logf)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := own.quit(); err != nil {
				t.Logf("stop chromium: %v", err)
			}
		})
		return child(t, own)
	}
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.browser == nil {
		browser, err := launch(path, complain)
		if err != nil {
			t.Fatal(err)
		}
		shared.browser = browser
	}
	return child(t, shared.browser)
}

func child(t testing.TB, browser *chromium) context.Context {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("open page: %v", err)
	}
	return ctx
}
