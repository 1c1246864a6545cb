package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// find returns the path of a program of Debian's. Where it is missing the test fails in CI, and is skipped elsewhere.
func find(t *testing.T, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	if path := filepath.Join("/usr/sbin", name); exists(path) { // not in everybody's path
		return path
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed", name)
	}
	t.Skipf("%s is not installed", name)
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// bin is the folder of both programs, once one was asked for.
var bin string

func TestMain(m *testing.M) {
	m.Run()               // the caller exits with its code
	_ = os.RemoveAll(bin) // what stays is in the folder for temporary files
}

// programs builds both.
var programs = sync.OnceValue(func() (err error) {
	if bin, err = os.MkdirTemp("", "fleetcast-deploy-"); err != nil {
		return err
	}
	out, err := exec.CommandContext(context.Background(), "go", "build", "-o", bin+"/", "../gateway", "../simulator").CombinedOutput()
	if err != nil {
		return fmt.Errorf("build programs: %w: %s", err, out)
	}
	return nil
})

func gatewayProgram(t *testing.T) string {
	t.Helper()
	if err := programs(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(bin, "gateway")
}

// settings are the names of the variables that the program reads.
func settings(t *testing.T) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), gatewayProgram(t), "--help").CombinedOutput()
	if err != nil {
		t.Fatalf("ask for help: %v: %s", err, out)
	}
	return regexp.MustCompile(`FLEETCAST_[A-Z0-9_]+`).FindAllString(string(out), -1)
}

func TestEverySettingThatTheFilesNameIsOne(t *testing.T) {
	t.Parallel()
	known := settings(t)
	if len(known) < 30 {
		t.Fatalf("the help names %d variables only", len(known))
	}
	named := 0
	for _, pattern := range []string{"docker/*", "helm/fleetcast/templates/*.yaml", "systemd/*", "proxies/*"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			for _, name := range regexp.MustCompile(`FLEETCAST_[A-Z0-9_]+`).FindAllString(read(t, file), -1) {
				named++
				if !slices.Contains(known, name) {
					t.Errorf("%s: there is no setting %s", file, name)
				}
			}
			for _, flag := range regexp.MustCompile(`[ (\x60]--([a-z][a-z-]+)`).FindAllStringSubmatch(read(t, file), -1) {
				name := "FLEETCAST_" + strings.ToUpper(strings.ReplaceAll(flag[1], "-", "_"))
				if filepath.Dir(file) != "docker" && !slices.Contains(known, name) && flag[1] != "now" { // systemctl enable --now
					t.Errorf("%s: there is no setting --%s", file, flag[1])
				}
			}
		}
	}
	if named < 20 {
		t.Errorf("%d settings were found in the files: the test does not see them", named)
	}
}

// metricNames are what documents list, which a test beside the metrics holds to what there is.
func metricNames(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(fleetcast_[a-z_]+)`").FindAllStringSubmatch(read(t, "docs", "metrics.md"), -1) {
		names = append(names, m[1])
	}
	return append(names, "fleetcast_build_info")
}

func TestEveryMetricThatTheFilesNameIsThere(t *testing.T) {
	t.Parallel()
	known := metricNames(t)
	for _, file := range []string{"prometheus/alerts.yaml", "grafana/fleetcast.json", "docs/runbook.md", "helm/prometheus-adapter.yaml"} {
		found := regexp.MustCompile(`fleetcast_[a-z_]+`).FindAllString(read(t, file), -1)
		if len(found) == 0 {
			t.Errorf("%s names no metric: the test does not see them", file)
		}
		for _, name := range found {
			base := name
			for _, suffix := range []string{"_bucket", "_count", "_sum"} {
				base = strings.TrimSuffix(base, suffix)
			}
			if !slices.Contains(known, name) && !slices.Contains(known, base) {
				t.Errorf("%s: there is no metric %s", file, name)
			}
		}
	}
}

func TestEveryAlertIsInTheRunbook(t *testing.T) {
	t.Parallel()
	runbook := read(t, "docs", "runbook.md")
	alerts := regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(read(t, "prometheus", "alerts.yaml"), -1)
	for _, alert := range alerts {
		if !strings.Contains(runbook, "## "+alert[1]) {
			t.Errorf("the runbook has no entry for %s", alert[1])
		}
	}
	for _, entry := range regexp.MustCompile(`## (Fleetcast\w+)`).FindAllStringSubmatch(runbook, -1) {
		if !slices.ContainsFunc(alerts, func(a []string) bool { return a[1] == entry[1] }) {
			t.Errorf("there is no alert %s", entry[1])
		}
	}
}

func TestPrometheusReadsItsFiles(t *testing.T) {
	t.Parallel()
	promtool := find(t, "promtool")
	for _, args := range [][]string{{"check", "rules", "prometheus/alerts.yaml"}, {"check", "config", "prometheus/prometheus.yaml"}} {
		if out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

func TestTheDashboardIsOne(t *testing.T) {
	t.Parallel()
	var dashboard struct {
		Title  string `json:"title"`
		Panels []struct {
			ID      int    `json:"id"`
			Type    string `json:"type"`
			Title   string `json:"title"`
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal([]byte(read(t, "grafana", "fleetcast.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	ids := map[int]bool{}
	for _, p := range dashboard.Panels {
		if ids[p.ID] || p.Title == "" || p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %d, %q: twice, without a title or without a query", p.ID, p.Title)
		}
		ids[p.ID] = true
	}
	if dashboard.Title != "Fleetcast" || len(ids) < 20 {
		t.Errorf("%q has %d panels", dashboard.Title, len(ids))
	}
}

func TestSystemdReadsItsUnit(t *testing.T) {
	t.Parallel()
	analyze := find(t, "systemd-analyze")
	unit := strings.ReplaceAll(read(t, "systemd", "fleetcast.service"), "/usr/local/bin/gateway", gatewayProgram(t)) // it must be there
	path := filepath.Join(t.TempDir(), "fleetcast.service")
	if err := os.WriteFile(path, []byte(unit), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"Type=notify\n", "WatchdogSec=", "ExecReload=", "RestartPreventExitStatus=2\n", "TimeoutStopSec=30\n"} {
		if !strings.Contains(unit, "\n"+line) {
			t.Errorf("the unit has no %s", line)
		}
	}
	// What it says of units that are installed here is not about ours.
	out, err := exec.CommandContext(t.Context(), analyze, "verify", "--recursive-errors=no", "--man=no", path).CombinedOutput()
	if err != nil || strings.Contains(string(out), "fleetcast.service") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	// What of the machine the service can reach, by systemd's own reckoning from 0 to 10; that of one without any guard is 9.6.
	out, err = exec.CommandContext(t.Context(), analyze, "security", "--offline=true", "--no-pager", "--threshold=15", path).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
}
