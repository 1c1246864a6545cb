package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 60 * time.Second

func TestWrongArgumentsAreOneLineAndACodeOfTheirOwn(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run([]string{"--window=1h"}, nil, &out, &errs); code != exitUsage {
		t.Errorf("exit code %d", code)
	}
	if got := errs.String(); !strings.HasPrefix(got, "gateway: --window: ") || strings.Count(got, "\n") != 1 || out.Len() != 0 {
		t.Errorf("it says %q and %q", got, out.String())
	}
}

func TestHelpAndVersionSucceed(t *testing.T) {
	for _, arg := range []string{"--help", "--version"} {
		var out, errs bytes.Buffer
		if code := run([]string{arg}, nil, &out, &errs); code != 0 || out.Len() == 0 || errs.Len() != 0 {
			t.Errorf("%s: code %d, %q, %q", arg, code, out.String(), errs.String())
		}
	}
}

func TestFlagsServeAndAWordIsACommand(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"version", 0, ""}, {"version --help", 0, "Print the version."}, {"serve", exitUsage, "serve"}, {"version x", exitUsage, "x"},
	} {
		var out, errs bytes.Buffer
		code := run(strings.Fields(c.args), nil, &out, &errs)
		if code != c.code || out.Len()+errs.Len() == 0 || !strings.Contains(out.String()+errs.String(), c.says) {
			t.Errorf("%s: code %d, %q, %q", c.args, code, out.String(), errs.String())
		}
	}
	var out, errs bytes.Buffer
	if run([]string{"--help"}, nil, &out, &errs); !strings.Contains(out.String(), "gateway config") {
		t.Errorf("the help names no commands: %s", out.String())
	}
}

func TestDecodeReadsAPayloadAndSaysWhatItBecomes(t *testing.T) {
	var out, errs bytes.Buffer
	code := run([]string{"decode", "--topic=owntracks/ann/phone", "--received=2026-07-01T12:00:00Z"},
		strings.NewReader(`{"_type":"location","lat":48.85833,"lon":2.29513,"vel":36,"tst":1782907000}`), &out, &errs)
	var got struct {
		Kind     string
		Readings []struct {
			Device     string
			At         int64
			Lat, Speed float64
		}
		Hygiene []struct{ Outcome string }
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || code != 0 || errs.Len() != 0 {
		t.Fatalf("code %d, %v, %q, %q", code, err, out.String(), errs.String())
	}
	if got.Kind != "position" || len(got.Readings) != 1 || got.Readings[0].Device != "ann:phone" || got.Readings[0].Speed != 10 ||
		got.Readings[0].At != 1782907000000 || len(got.Hygiene) != 1 || got.Hygiene[0].Outcome != "live" {
		t.Errorf("%s", out.String())
	}
	if code := run([]string{"decode"}, strings.NewReader(""), &out, &errs); code != exitUsage {
		t.Errorf("without a topic: code %d", code)
	}
	out.Reset()
	if code := run([]string{"presets"}, nil, &out, &errs); code != 0 || !strings.Contains(out.String(), "/hfp/v2/journey/ongoing/vp/#") {
		t.Errorf("presets: code %d, %s", code, out.String())
	}
}

func TestTheDemoRunsAndCtrlCStopsItCleanly(t *testing.T) {
	const devices = 20
	binary := build(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "--demo=20", "--mqtt-listen=127.0.0.1:0", "--http-listen=127.0.0.1:0")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	url := pageURL(t, stdout)
	waitForAssets(ctx, t, url, devices)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, stdout); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v and said:\n%s", err, stderr.String())
	}
	if strings.Contains(stderr.String(), "level=ERROR") {
		t.Errorf("it said:\n%s", stderr.String())
	}
}

func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "gateway")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	return binary
}

// pageURL reads the banner up to the page's address.
func pageURL(t *testing.T, r io.Reader) string {
	t.Helper()
	for s := bufio.NewScanner(r); s.Scan(); {
		if _, url, ok := strings.Cut(s.Text(), "page "); ok {
			return strings.TrimSpace(url)
		}
	}
	t.Fatal("it did not say where to look")
	return ""
}

func waitForAssets(ctx context.Context, t *testing.T, url string, want int) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for got := -1; got != want; {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain for %d assets; there are %d", want, got)
		case <-tick.C:
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"api/assets.geojson", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var collection struct{ Features []json.RawMessage }
		err = json.NewDecoder(resp.Body).Decode(&collection)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		got = len(collection.Features)
	}
}

func TestSettingsAreCheckedShownAndListed(t *testing.T) {
	t.Setenv("FLEETCAST_WINDW", "1s")
	file := filepath.Join(t.TempDir(), "f.yaml")
	if err := os.WriteFile(file, []byte("window: 200ms\nmqtt-lisen: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args      string
		code      int
		out, errs string
	}{
		{"config check", 0, "the settings are good", `FLEETCAST_WINDW is no setting; did you mean "FLEETCAST_WINDOW"?`},
		{"config check --window=1s --max-devices 5", 0, "good", ""},
		{"config check --help", 0, "FLEETCAST_WINDOW", ""},
		{"config check --window=1h", exitUsage, "", "--window: "},
		{"config check --http-cert=none.pem --http-key=none.pem", exitUsage, "", "none.pem"},
		{"config check --config=" + file, exitUsage, "", file + `:2: there is no setting "mqtt-lisen"; did you mean "mqtt-listen"?`},
		{"config show --config=" + file, exitUsage, "", "mqtt-lisen"},
		{"config show --window=1s", 0, "# --window", ""},
		{"config default", 0, "#window: 100ms", ""},
		{"config docs", 0, "| `--window` | `FLEETCAST_WINDOW` |", ""},
		{"version --json", 0, `"go": "go1`, ""},
	} {
		var out, errs bytes.Buffer
		code := run(strings.Fields(c.args), nil, &out, &errs)
		if code != c.code || !strings.Contains(out.String(), c.out) || !strings.Contains(errs.String(), c.errs) {
			t.Errorf("%s: code %d, %q, %q", c.args, code, out.String(), errs.String())
		}
	}
}

func TestDoctorSaysWhetherAGatewayWouldWorkHere(t *testing.T) {
	settings := []string{"--mqtt-listen=127.0.0.1:0", "--http-listen=127.0.0.1:0", "--admin-listen=none", "--data-dir=" + t.TempDir()}
	for _, c := range []struct {
		more []string
		code int
		says string
	}{
		{nil, 0, "ok    port mqtt-listen"},
		{[]string{"--json"}, 0, `"check": "port mqtt-listen"`},
		{[]string{"--mqtt-upstream=mqtt://127.0.0.1:1"}, 1, "fail  broker 127.0.0.1:1"},
		{[]string{"--windw=1s"}, exitUsage, "windw"},
		{[]string{"--help"}, 0, "--mqtt-listen"},
	} {
		var out, errs bytes.Buffer
		code := run(append(append([]string{"doctor"}, settings...), c.more...), nil, &out, &errs)
		if said := out.String() + errs.String(); code != c.code || !strings.Contains(said, c.says) {
			t.Errorf("%v: code %d: %s", c.more, code, said)
		}
	}
}
