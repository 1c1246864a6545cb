package play

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/simulator/certs"
	"github.com/fleetcast/fleetcast/simulator/prove"
)

// The gateway asks for a proof, and devices have none but their certificates.
func TestEveryDeviceShowsACertificateOfItsOwn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server, err := certs.Make(dir)
	if err != nil {
		t.Fatal(err)
	}
	authority := filepath.Join(dir, "authority")
	if _, err := certs.OpenAuthority(authority); err != nil {
		t.Fatal(err)
	}
	door, err := prove.FreeAddress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	flags := []string{
		"--device-auth=required", "--data-dir=" + data, "--mqtt-tls-listen=" + door, "--mqtt-tls-cert=" + server.Cert, "--mqtt-tls-key=" + server.Key,
		"--mqtt-tls-client-ca=" + filepath.Join(authority, certs.AuthorityCert),
	}
	in, err := install(t.Context(), &Options{Scenario: parse(t, strings.Replace(tiny, "--in-memory", strings.Join(flags, ", "), 1)), Gateway: gatewayProgram(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := in.stop(); err != nil {
			t.Error(err)
		}
	}()
	imported(t, in, data, "cars", 5)
	secure := strings.Replace(tiny, "count: 5", `count: 5, prefix: cars-, mqtt: "mqtts://`+door+`", tls_ca: `+server.Cert+", client_ca: "+authority, 1)
	result, err := Run(t.Context(), Options{
		MQTT: in.addresses["gateway.mqtt"], URL: in.addresses["gateway.url"], Scenario: parse(t, secure+"thresholds: [refused==0, connect_failures==0, silent_loss==0]"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if r := result.Report; r.Values["connected"] != 5 || r.Audit.Kept != 5 {
		t.Errorf("%v are connected: %+v", r.Values["connected"], r.Audit)
	}
}
