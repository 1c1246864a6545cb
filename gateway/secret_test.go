package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A proof may stand in a file, as the secrets of containers and systemd do.
func TestAProofIsReadFromAFile(t *testing.T) {
	var shown string
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown = r.Header.Get("Authorization")
		w.WriteHeader(http.StatusNoContent)
	}))
	defer gateway.Close()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte("fct_secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	running := remote{Server: gateway.URL}
	t.Setenv("FLEETCAST_TOKEN", "file:"+path)
	if err := running.call(t.Context(), http.MethodGet, "/", nil, nil, nil); err != nil || shown != "Bearer fct_secret" {
		t.Errorf("%v, shown %q", err, shown)
	}
	t.Setenv("FLEETCAST_TOKEN", "file:"+path+"-of-nobody")
	shown = ""
	if err := running.call(t.Context(), http.MethodGet, "/", nil, nil, nil); err == nil || !strings.Contains(err.Error(), "FLEETCAST_TOKEN") || shown != "" {
		t.Errorf("%v, shown %q", err, shown)
	}
}
