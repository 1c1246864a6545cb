package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Each of the six is run by the tests of simulator/play; this is about what comes of several in one go.
func TestASuiteOfSmallFormsLeavesReportsAndADigest(t *testing.T) {
	t.Parallel()
	gateway := filepath.Join(t.TempDir(), "gateway")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", gateway, "github.com/fleetcast/fleetcast/gateway").CombinedOutput(); err != nil {
		t.Fatalf("build gateway: %v: %s", err, out)
	}
	folder := t.TempDir()
	var out, errs bytes.Buffer
	code := run([]string{"suite", "--small", "--quiet", "--only", "morning-start,hostile-device", "--gateway", gateway, "--out", folder}, &out, &errs)
	if code != 0 {
		t.Errorf("exit code %d: %s%s", code, out.String(), errs.String())
	}
	digest, err := os.ReadFile(filepath.Join(folder, "digest.md"))
	if err != nil || string(digest) != out.String() {
		t.Errorf("%v: %s", err, digest)
	}
	for _, name := range []string{"morning-start", "hostile-device"} {
		if !strings.Contains(string(digest), "| `"+name+"` |") {
			t.Errorf("%s is not in the digest: %s", name, digest)
		}
		for _, ending := range []string{".txt", ".json", ".html", ""} {
			if _, err := os.Stat(filepath.Join(folder, name+ending)); err != nil {
				t.Error(err)
			}
		}
	}
}
