package deploy

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/sse/dashboard/browsertest"
)

const (
	patience  = time.Minute // of a machine that is busy
	pollEvery = 20 * time.Millisecond
)

// until polls a condition that must come.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for end := time.Now().Add(patience); !holds(); {
		if time.Now().After(end) {
			t.Fatalf("%s did not come", what)
		}
		<-tick.C
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 { // below what kernels give to outgoing connections
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(12_000+rand.IntN(20_000)))
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
		if err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

func listens(t *testing.T, address string) bool {
	t.Helper()
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", address)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

// run runs a program until the test or stop ends it, and waits until it listens.
func run(t *testing.T, address, path string, args ...string) (stop func()) {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), path, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	own := t.TempDir() // Caddy keeps its configuration at home
	cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+own, "XDG_DATA_HOME="+own)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // a program that is ended by a signal ends with an error
	}()
	stop = func() {
		_ = cmd.Process.Signal(syscall.SIGKILL) // fails where it had ended
		<-ended
	}
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("%s: %s", path, out.Bytes()[max(0, out.Len()-2000):])
		}
	})
	until(t, path+" to listen", func() bool {
		select {
		case <-ended:
			t.Fatalf("%s ended: %s", path, out.String())
		default:
		}
		return listens(t, address)
	})
	return stop
}

type edge struct {
	http, mqtt string
	start      func() (stop func())
}

func startEdge(t *testing.T) *edge {
	t.Helper()
	e := &edge{http: freeAddress(t), mqtt: freeAddress(t)}
	program, dir := gatewayProgram(t), t.TempDir()
	e.start = func() func() {
		return run(t, e.http, program, "--http-listen", e.http, "--mqtt-listen", e.mqtt, "--data-dir", dir, "--admin-listen", "none", "--window", "20ms")
	}
	return e
}

func (e *edge) publish(t *testing.T, program string, n int) {
	t.Helper()
	host, port, err := net.SplitHostPort(e.mqtt)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), program, "-h", host, "-p", port, "-q", "1",
		"-t", "fleets/north/devices/truck-17/telemetry", "-m", fmt.Sprintf(`{"n":%d}`, n)).CombinedOutput()
	if err != nil {
		t.Fatalf("publish: %v: %s", err, out)
	}
}

var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// open asks for a stream as an EventSource does.
func open(t *testing.T, ctx context.Context, url, lastEventID string) (*http.Response, error) { //nolint:revive // t first reads better
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/stream/assets", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	if lastEventID != "" {
		req.Header.Set("Last-Event-ID", lastEventID)
	}
	return client.Do(req)
}

// listen reads a stream until a line has the text, and returns the last id.
func listen(t *testing.T, body io.Reader, text string) (id string) {
	t.Helper()
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			id = rest
		} else if rest, ok := strings.CutPrefix(lines.Text(), "id:"); ok {
			id = rest
		}
		if strings.Contains(lines.Text(), text) {
			return id
		}
	}
	t.Fatalf("the stream ended before %s came: %v", text, lines.Err())
	return ""
}

// proxy is a configuration of this folder, run with other addresses.
type proxy struct {
	program string
	file    string
	replace []string // of the file: pairs, in which FRONT, BACK and BACKMQTT stand for addresses
	wrap    string   // around it: %s is its path
	script  string   // in node_modules: what the program runs
	args    func(config, dir string) []string
}

var proxies = map[string]proxy{
	"nginx": {
		program: "nginx", file: "nginx.conf", replace: []string{"listen 80;", "listen FRONT;", "server 127.0.0.1:8080;", "server BACK;"},
		wrap: "daemon off; master_process off; pid DIR/nginx.pid; error_log stderr;\nevents {}\nhttp { access_log off; client_body_temp_path DIR/a; " +
			"proxy_temp_path DIR/b; fastcgi_temp_path DIR/c; uwsgi_temp_path DIR/d; scgi_temp_path DIR/e; include %s; }\n",
		args: func(config, dir string) []string { return []string{"-c", config, "-p", dir, "-e", "stderr"} },
	},
	"haproxy": {
		program: "haproxy", file: "haproxy.cfg",
		replace: []string{"bind :80\n", "bind FRONT\n", "server edge1 127.0.0.1:8080", "server edge1 BACK", "bind :1884", "bind FRONTMQTT", "server door1 127.0.0.1:1883", "server door1 BACKMQTT"},
		args:    func(config, _ string) []string { return []string{"-db", "-f", config} },
	},
	"caddy": {
		program: "caddy", file: "Caddyfile", replace: []string{":80 {", "http://FRONT {", "reverse_proxy 127.0.0.1:8080", "reverse_proxy BACK"},
		wrap: "{\n\tadmin off\n\tauto_https off\n\tstorage file_system DIR\n}\nimport %s\n",
		args: func(config, _ string) []string { return []string{"run", "--adapter", "caddyfile", "--config", config} },
	},
	"vite": {
		program: "node", script: "vite/bin/vite.js", file: "vite.config.js",
		replace: []string{"127.0.0.1:8080", "BACK", "server: {", "server: { host: '127.0.0.1', port: 'FRONT'.split(':')[1], strictPort: true,"},
		args:    func(config, dir string) []string { return []string{dir, "--config", config} },
	},
}

// start runs the proxy in front of an edge and returns its address.
func (p *proxy) start(t *testing.T, e *edge) (url string) {
	t.Helper()
	dir, front := t.TempDir(), freeAddress(t)
	text := read(t, "proxies", p.file)
	for i := 0; i < len(p.replace); i += 2 {
		if strings.Count(text, p.replace[i]) != 1 {
			t.Fatalf("%s has no %q", p.file, p.replace[i])
		}
		text = strings.Replace(text, p.replace[i], p.replace[i+1], 1)
	}
	fill := strings.NewReplacer("FRONTMQTT", freeAddress(t), "BACKMQTT", e.mqtt, "FRONT", front, "BACK", e.http, "DIR", dir)
	config := filepath.Join(dir, p.file)
	if err := os.WriteFile(config, []byte(fill.Replace(text)), 0o600); err != nil {
		t.Fatal(err)
	}
	if p.wrap != "" {
		outer := filepath.Join(dir, "outer")
		if err := os.WriteFile(outer, []byte(fill.Replace(fmt.Sprintf(p.wrap, config))), 0o600); err != nil {
			t.Fatal(err)
		}
		config = outer
	}
	args := p.args(config, dir)
	if p.script != "" {
		args = append([]string{filepath.Join(browsertest.Packages(t), p.script)}, args...)
	}
	run(t, front, find(t, p.program), args...)
	return "http://" + front
}

// A stream goes through, comes at once, and goes on where it was after the edge was killed; and while no edge is there, nobody
// is told what would end an EventSource for good.
func TestAStreamGoesThroughEachProxyAndComesBack(t *testing.T) {
	for name, p := range proxies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			publisher, e := find(t, "mosquitto_pub"), startEdge(t)
			find(t, p.program)
			stop := e.start()
			url := p.start(t, e)
			until(t, "the proxy to find its edge", func() bool {
				res, err := open(t, t.Context(), url, "")
				if err != nil {
					return false
				}
				res.Body.Close()
				return res.StatusCode == http.StatusOK
			})
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			res, err := open(t, ctx, url, "")
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			listen(t, res.Body, "ready")
			e.publish(t, publisher, 1)
			listen(t, res.Body, `"n":1`)
			e.publish(t, publisher, 2)
			id := listen(t, res.Body, `"n":2`)

			stop()
			brief, cancelBrief := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancelBrief()
			if away, err := open(t, brief, url, id); err == nil {
				away.Body.Close()
				t.Errorf("without an edge the proxy answers %d, which ends an EventSource", away.StatusCode)
			} // it closes the connection, or waits for an edge: both are fine
			e.start()
			e.publish(t, publisher, 3)
			until(t, "the stream after the edge came back", func() bool {
				back, err := open(t, ctx, url, id)
				if err != nil {
					return false
				}
				defer back.Body.Close()
				if back.StatusCode != http.StatusOK {
					t.Fatalf("after the edge came back the proxy answers %d", back.StatusCode)
				}
				listen(t, back.Body, `"n":3`)
				return true
			})
		})
	}
}
