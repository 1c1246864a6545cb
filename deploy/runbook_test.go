package deploy

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Metrics of Prometheus itself and of its client library.
var metricsOfOthers = []string{"up", "process_open_fds", "process_max_fds", "process_resident_memory_bytes"}

// Every entry of the runbook has a log line, a metric and something to do; lines and metrics are those of the code.
func TestTheRunbookSaysWhatTheProgramSays(t *testing.T) {
	t.Parallel()
	entries := strings.Split(read(t, "docs", "runbook.md"), "\n## ")[1:]
	if len(entries) < 15 {
		t.Fatalf("found %d entries only", len(entries))
	}
	lines, metrics := 0, 0
	for _, entry := range entries {
		title, _, _ := strings.Cut(entry, "\n")
		said := map[string]string{}
		for _, item := range paragraphs(entry) {
			if label, text, ok := strings.Cut(item, ": "); ok {
				said[strings.TrimPrefix(label, "- ")] = text
			}
		}
		if said["Log"] == "" || said["Metric"] == "" || said["Do"] == "" {
			t.Errorf("%s: it needs Log, Metric and Do", title)
		}
		lines += checkLogLines(t, title, said["Log"])
		metrics += checkMetrics(t, title, said["Metric"])
	}
	if lines < 20 || metrics < 30 {
		t.Errorf("found %d log lines and %d metrics: the test does not see them", lines, metrics)
	}
}

// notLogged are spans beside a log line that are none: what others say, and where else to look.
var notLogged = regexp.MustCompile(`^(/readyz.*|signal: killed)$`)

func checkLogLines(t *testing.T, title, text string) (found int) {
	t.Helper()
	c := readSource(t)
	for _, m := range betweenBackticks.FindAllStringSubmatch(text, -1) {
		if notLogged.MatchString(m[1]) {
			continue
		}
		if found++; !c.texts[m[1]] {
			t.Errorf("%s: the code does not log %q", title, m[1])
		}
	}
	return found
}

func checkMetrics(t *testing.T, title, text string) (found int) {
	t.Helper()
	c, known := readSource(t), metricNames(t)
	named := regexp.MustCompile(`^([a-z_]+)(?:\{(\w+)="(\w+)"\})?$`)
	for _, m := range betweenBackticks.FindAllStringSubmatch(text, -1) {
		parts := named.FindStringSubmatch(m[1])
		if parts == nil || !strings.Contains(parts[1], "_") && parts[1] != "up" || parts[1] == "lag_ms" {
			continue
		}
		found++
		if !slices.Contains(known, parts[1]) && !slices.Contains(metricsOfOthers, parts[1]) {
			t.Errorf("%s: there is no metric %s", title, parts[1])
		}
		if parts[3] != "" && !c.words[parts[3]] {
			t.Errorf("%s: no metric has the label %s", title, parts[3])
		}
	}
	return found
}
