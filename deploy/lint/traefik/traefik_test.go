package traefik

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/traefik/paerser/file"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
)

// Traefik's own types read its file, strictly: a member that it does not know is an error, as with Traefik's file provider.
func TestTraefikReadsItsFile(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "proxies", "traefik.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var c dynamic.Configuration
	if err := file.DecodeContent(string(text), ".yaml", &c); err != nil {
		t.Fatal(err)
	}
	const name = "fleetcast"
	router, service, again := c.HTTP.Routers[name], c.HTTP.Services[name], c.HTTP.Middlewares["again"]
	if router == nil || service == nil || service.LoadBalancer == nil || again == nil || again.Retry == nil {
		t.Fatalf("%+v", c.HTTP)
	}
	if router.Service != name || len(router.Middlewares) != 1 || router.Middlewares[0] != "again" || again.Retry.Attempts < 1 || time.Duration(again.Retry.InitialInterval) <= 0 {
		t.Errorf("%+v, %+v", router, again.Retry)
	}
	lb := service.LoadBalancer
	if lb.ResponseForwarding == nil || time.Duration(lb.ResponseForwarding.FlushInterval) >= 0 { // below zero: at once
		t.Errorf("it holds streams back: %+v", lb.ResponseForwarding)
	}
	if lb.HealthCheck == nil || lb.HealthCheck.Path != "/readyz?role=edge" || len(lb.Servers) != 1 || lb.Servers[0].URL == "" {
		t.Errorf("%+v", lb)
	}
	if err := file.DecodeContent(strings.Replace(string(text), "flushInterval", "flushIntervall", 1), ".yaml", new(dynamic.Configuration)); err == nil {
		t.Error("what Traefik does not know is read")
	}
}
