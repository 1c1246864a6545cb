package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// proxied is a proxy that a stream goes through, with as little configuration as it takes.
type proxied struct {
	name, program string
	config        string // %[1]s a directory, %[2]s where it listens, %[3]s the gateway
	args          func(file string) []string
}

func nginxArgs(file string) []string { return []string{"-c", file, "-e", "stderr"} }

// comparedProxies are those that Debian has. What nginx passes on by itself is HTTP/1.0, and no upgrade.
var comparedProxies = []proxied{
	{"nginx, proxy_pass alone", "nginx", nginxConfig(""), nginxArgs},
	{"nginx, with the upgrade passed on", "nginx", nginxConfig(`proxy_http_version 1.1; proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $upgrading;`), nginxArgs},
	{"HAProxy", "haproxy", `# %[1]s
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout tunnel 1h
frontend f
  bind %[2]s
  default_backend b
backend b
  server s %[3]s
`, func(file string) []string { return []string{"-db", "-f", file} }},
	{"Caddy", "caddy", `{
  admin off
  auto_https off
  storage file_system %[1]s
}
http://%[2]s {
  reverse_proxy %[3]s
}
`, func(file string) []string { return []string{"run", "--adapter", "caddyfile", "--config", file} }},
}

func nginxConfig(more string) string {
	return `daemon off; master_process off; pid %[1]s/nginx.pid; error_log stderr;
events { worker_connections 4096; }
http {
  access_log off; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
  map $http_upgrade $upgrading { default upgrade; '' ''; }
  server {
    listen %[2]s;
    location / { proxy_pass http://%[3]s; ` + more + ` }
  }
}
`
}

// start runs the proxy in front of a gateway, and returns where it listens.
func (p *proxied) start(ctx context.Context, l *lab, program, gateway string) (*started, string, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, "", err
	}
	dir := filepath.Join(l.dir, fmt.Sprintf("proxy-%d", l.servers))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, "", fmt.Errorf("start %s: %w", p.program, err)
	}
	file := filepath.Join(dir, p.program+".conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, p.config, dir, address, gateway), 0o600); err != nil {
		return nil, "", fmt.Errorf("start %s: %w", p.program, err)
	}
	c, err := l.startChild(ctx, p.program, program, p.args(file)...)
	if err != nil {
		return nil, "", err
	}
	if err := c.until(ctx, func(ctx context.Context) bool { return listens(ctx, address) }); err != nil {
		c.stop()
		return nil, "", err
	}
	return c, address, nil
}
