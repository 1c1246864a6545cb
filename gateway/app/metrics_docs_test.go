package app

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/gateway/metrics"
)

// The list of metrics in the documents is written by FLEETCAST_UPDATE=1 go test -run ListOfMetrics ./gateway/app.
func TestTheListOfMetricsIsTrue(t *testing.T) {
	path := filepath.Join("..", "..", "deploy", "docs", "metrics.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const mark = "<!-- The rest is written by a test. -->\n"
	head, rest, found := strings.Cut(string(text), mark)
	if !found {
		t.Fatalf("%s has no mark", path)
	}
	var want strings.Builder
	want.WriteString("\n| metric | kind | labels | |\n|---|---|---|---|\n")
	for _, d := range metrics.Docs(metricsTable) {
		fmt.Fprintf(&want, "| `%s` | %s | %s | %s |\n", d.Name, d.Kind, d.Label, d.Help)
	}
	if rest == want.String() {
		return
	}
	if os.Getenv("FLEETCAST_UPDATE") == "" {
		t.Fatalf("%s does not list what there is; FLEETCAST_UPDATE=1 writes it anew", path)
	}
	if err := os.WriteFile(path, []byte(head+mark+want.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}
