package play

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// imported registers devices with a gateway that requires credentials, and returns the file that its command printed.
func imported(t *testing.T, in *installation, data, fleet string, count int) string {
	t.Helper()
	var rows strings.Builder
	rows.WriteString("id,fleet\n")
	for i := range count {
		fmt.Fprintf(&rows, "%s-%d,%s\n", fleet, i, fleet)
	}
	list, out := filepath.Join(t.TempDir(), "devices.csv"), filepath.Join(t.TempDir(), "credentials.json")
	if err := os.WriteFile(list, []byte(rows.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	printed, err := exec.CommandContext(t.Context(), gatewayProgram(t), "devices", "import", list, "--server", "http://"+in.addresses["gateway.http"], "--data-dir", data).Output()
	if err != nil {
		t.Fatalf("import devices: %v: %s", err, printed)
	}
	if err := os.WriteFile(out, printed, 0o600); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAScenarioRunsWithTheCredentialsOfARegistry(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	guarded := strings.Replace(tiny, "gateway: [--in-memory]", "gateway: [--device-auth=required, --data-dir="+data+"]", 1)
	in, err := install(t.Context(), &Options{Scenario: parse(t, guarded), Gateway: gatewayProgram(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := in.stop(); err != nil {
			t.Error(err)
		}
	}()
	o := Options{MQTT: in.addresses["gateway.mqtt"], URL: "http://" + in.addresses["gateway.http"]}
	s := parse(t, strings.Replace(tiny, "count: 5", "count: 5, credentials: "+imported(t, in, data, "cars", 5), 1)+
		"ledger: { devices: 4, viewers: 2, rate: 5/s, fleet: books, credentials: "+imported(t, in, data, "books", 4)+" }\nthresholds: [refused==0, silent_loss==0, violations==0]")
	o.Scenario = s
	result, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if r := result.Report; r.Values["connected"] != 5 || r.Audit.Kept != 5 || r.Ledger.Acked == 0 || r.Ledger.Lost != 0 {
		t.Errorf("%+v, %+v", r.Audit, r.Ledger)
	}

	// Without them nobody is let in, and that is told.
	o.Scenario = parse(t, tiny+"thresholds: [refused==0]")
	for patience := 3 * time.Second; ; patience *= 2 { // they try for longer than a test wants to wait, and begin late on a busy machine
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		result, err = Run(ctx, o)
		cancel()
		if err == nil || result.Report.Values["connected"] != 0 {
			t.Errorf("%v are connected, %v", result.Report.Values["connected"], err)
		}
		if result.Report.Values["refused"] > 0 || patience > time.Minute {
			break
		}
	}
	if result.Report.Values["refused"] == 0 {
		t.Error("nobody is refused")
	}
}
