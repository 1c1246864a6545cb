package sse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What proxies do to an answer without length and chunks, and that they hold nothing back, is asked of the real ones with
// as little configuration as they take.

const nginxConfig = `
daemon off; master_process off; pid %[1]s/nginx.pid; error_log stderr;
events {}
http {
  access_log off; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
  gzip on; gzip_types *; gzip_proxied any; gzip_min_length 1;
  server {
    listen %[2]s;
    location / { proxy_pass http://%[3]s; }
    location /eleven { proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://%[3]s; }
  }
}
`

const haproxyConfig = `
# %[1]s
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend f
  bind %[2]s
  default_backend b
backend b
  server s %[3]s
`

func TestThroughNginxEventsComeAtOnceAndTheEndIsClean(t *testing.T) {
	start := func(t *testing.T, upstream string) string {
		return startProxy(t, "nginx", nginxConfig, upstream, func(config string) []string {
			return []string{"-c", config, "-e", "stderr"}
		})
	}
	t.Run("to an HTTP/1.0 upstream, its default", func(t *testing.T) { bothThroughProxy(t, start, "/") })
	t.Run("to an HTTP/1.1 upstream", func(t *testing.T) { bothThroughProxy(t, start, "/eleven") })
}

func TestThroughHAProxyEventsComeAtOnceAndTheEndIsClean(t *testing.T) {
	bothThroughProxy(t, func(t *testing.T, upstream string) string {
		return startProxy(t, "haproxy", haproxyConfig, upstream, func(config string) []string {
			return []string{"-db", "-f", config}
		})
	}, "/")
}

func bothThroughProxy(t *testing.T, start func(t *testing.T, upstream string) string, path string) {
	t.Run("plain", func(t *testing.T) { throughProxy(t, start, path, false) })
	t.Run("packed", func(t *testing.T) { throughProxy(t, start, path, true) })
}

func throughProxy(t *testing.T, start func(t *testing.T, upstream string) string, path string, packed bool) {
	h, f := newTestHandler(t, Options{})
	addr := start(t, serve(t, h))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: !packed}}
	piece := func(event string) []byte {
		if packed {
			return pack([]byte(event))
		}
		return []byte(event)
	}
	open := func() *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != ContentType || res.Uncompressed != packed {
			t.Fatalf("%s %v", res.Status, res.Header)
		}
		return res
	}
	res := open()
	defer res.Body.Close()
	v := f.viewer(t, 0)
	for i := range 3 { // each must come before the next is written
		event := fmt.Sprintf("data: %d\n\n", i)
		v.chunks <- piece(event)
		readUntil(t, res.Body, event)
	}
	v.Close()
	rest, err := io.ReadAll(res.Body)
	if packed && errors.Is(err, io.ErrUnexpectedEOF) { // no trailer: see compress.go
		err = nil
	}
	if err != nil || !bytes.HasPrefix(rest, []byte("retry: ")) {
		t.Errorf("the end is %q, %v", rest, err)
	}
	ended(t, h, Stopped, 1)

	// A client that leaves the proxy is seen here.
	left := open()
	v = f.viewer(t, 1)
	left.Body.Close()
	eventually(t, "the viewer behind the proxy is closed", func() bool {
		select {
		case v.chunks <- piece("event: heartbeat\ndata: {}\n\n"):
		default:
		}
		return v.isClosed()
	})
}

func readUntil(t *testing.T, r io.Reader, end string) {
	t.Helper()
	var got []byte
	for b := make([]byte, 1); !strings.HasSuffix(string(got), end); got = append(got, b...) {
		if _, err := io.ReadFull(r, b); err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
	}
}

// startProxy runs a proxy in front of upstream and returns its address.
func startProxy(t *testing.T, program, config, upstream string, args func(config string) []string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		for _, dir := range []string{"/usr/sbin", "/usr/local/sbin"} { // not everybody's PATH
			if p, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
				path = p
			}
		}
	}
	if path == "" && os.Getenv("CI") != "" {
		t.Fatalf("%s is needed; Debian has it as package %s", program, program)
	}
	if path == "" {
		t.Skipf("%s is not installed", program)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") // a free port, which is given back for the proxy
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "proxy.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, config, dir, addr, upstream), 0o600); err != nil {
		t.Fatal(err)
	}
	var output bytes.Buffer
	cmd := exec.Command(path, args(file)...)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait() // it is killed
	}()
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		<-exited
	})
	eventually(t, program+" listens", func() bool {
		select {
		case <-exited:
			t.Fatalf("%s ended: %s", program, &output)
		default:
		}
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return addr
}
