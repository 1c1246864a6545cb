package app

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The list of settings in the documents is written by FLEETCAST_UPDATE=1 go test -run ListOfSettings ./gateway/app.
func TestTheListOfSettingsIsTrue(t *testing.T) {
	path := filepath.Join("..", "..", "deploy", "docs", "settings.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const mark = "<!-- The rest is written by a test. -->\n"
	head, rest, found := strings.Cut(string(text), mark)
	if !found {
		t.Fatalf("%s has no mark", path)
	}
	var want bytes.Buffer
	if err := WriteDocs(&want); err != nil {
		t.Fatal(err)
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

func defaultFile(t *testing.T) string {
	t.Helper()
	var text bytes.Buffer
	if err := WriteDefaultFile(&text); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func TestTheDefaultFileIsReadBackAsTheDefaults(t *testing.T) {
	text := defaultFile(t)
	// As it is, and with every line that has a default uncommented.
	active := regexp.MustCompile(`(?m)^#([a-z][a-z0-9-]*: )`).ReplaceAllString(text, "$1")
	active = regexp.MustCompile(`(?m)^[a-z].*<.*\n`).ReplaceAllString(active, "")
	for name, text := range map[string]string{"as it is": text, "uncommented": active} {
		got, err := Parse([]string{"--config", write(t, text)}, &bytes.Buffer{})
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, text)
		}
		got.Config = ""
		if want := Defaults(); !reflect.DeepEqual(got, want) && name == "as it is" {
			t.Errorf("%s: got  %+v\nwant %+v", name, got, want)
		}
		if err := Rehearse(got); err != nil {
			t.Errorf("%s: it would not start: %v", name, err)
		}
	}
	if n := strings.Count(active, "\nwindow: 100ms\n") + strings.Count(active, "\nhttp-gzip: true\n"); n != 2 {
		t.Errorf("%d of two defaults stand in the file:\n%s", n, active)
	}
}

func TestTheDefaultFileHasEverySetting(t *testing.T) {
	text := defaultFile(t)
	all, err := Settings()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 60 {
		t.Fatalf("there are %d settings only", len(all))
	}
	for _, s := range all {
		if s.Group == "" || s.Help == "" {
			t.Errorf("%s has no group or no help", s.Name)
		}
		if s.File && strings.Count(text, "\n#"+s.Name+": ") != 1 {
			t.Errorf("%s does not stand in the file once", s.Name)
		}
	}
}

func TestEveryMistakeOfTheFileIsNamedWithItsLineAndTheNearestKey(t *testing.T) {
	t.Setenv("FLEETCAST_DEMO", "3")
	path := write(t, "window: soon\nmqtt-lisen: 127.0.0.1:1\ndemo: replaced by the variable\nzzzzzz: 1\n")
	_, err := Parse([]string{"--config", path}, &bytes.Buffer{})
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	want := []string{`gateway.yaml:1: window: `, `gateway.yaml:2: there is no setting "mqtt-lisen"; did you mean "mqtt-listen"?`, `gateway.yaml:4: there is no setting "zzzzzz"`}
	if len(lines) != len(want) {
		t.Fatalf("it says\n%s", err)
	}
	for i := range want {
		if !strings.Contains(lines[i], want[i]) {
			t.Errorf("line %q does not have %q", lines[i], want[i])
		}
	}
	if strings.Contains(lines[2], "mean") {
		t.Errorf("%q proposes what is not near", lines[2])
	}
}

func TestASecretIsReadFromAFileAndNotShown(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "redis")
	if err := os.WriteFile(secret, []byte("redis://ann:hunter2@h:6379/0?sentinel_password=hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FLEETCAST_REDIS", "file:"+secret)
	got, err := Load([]string{"--config", write(t, "mqtt-upstream: ['mqtt://a:hunter2@h:1', 'mqtt://b']\nmqtt-client-id: x\n")}, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Options.Store.Redis != "redis://ann:hunter2@h:6379/0?sentinel_password=hunter2" {
		t.Errorf("the setting is %q", got.Options.Store.Redis)
	}
	var shown bytes.Buffer
	if err := got.WriteShown(&shown); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(shown.String(), "hunter2") {
		t.Errorf("it shows a secret:\n%s", shown.String())
	}
	for _, part := range []string{"FLEETCAST_REDIS, read from " + secret, "redis://redacted@h:6379/0", "mqtt://redacted@h:1", "gateway.yaml:1: mqtt-upstream"} {
		if !strings.Contains(shown.String(), part) {
			t.Errorf("it does not show %q:\n%s", part, shown.String())
		}
	}
	for name, text := range map[string]string{"missing": "", "empty": "\n", "large": strings.Repeat("x", maxSecretBytes+1)} {
		path := filepath.Join(dir, name)
		if text != "" {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		t.Setenv("FLEETCAST_REDIS", "file:"+path)
		if _, err := Parse(nil, &bytes.Buffer{}); err == nil || !strings.HasPrefix(err.Error(), "FLEETCAST_REDIS: read secret: ") {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

func TestWhatIsShownSaysWhereItComesFromAndIsAFileAgain(t *testing.T) {
	t.Setenv("FLEETCAST_MAX_DEVICES", "7")
	path := write(t, "# first\nwindow: 200ms\nmax-devices: 8\nmax-trail-mb: 9\nhttp-hosts: [a.example, b.example]\n")
	got, err := Load([]string{"--config", path, "--max-trail-mb=10"}, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	var shown bytes.Buffer
	if err := got.WriteShown(&shown); err != nil {
		t.Fatal(err)
	}
	spaces := regexp.MustCompile(` +`)
	text := spaces.ReplaceAllString(shown.String(), " ")
	for _, line := range []string{
		"window: 200ms # " + path + ":2: window", "max-devices: 7 # FLEETCAST_MAX_DEVICES", "max-trail-mb: 10 # --max-trail-mb",
		"http-hosts: [a.example, b.example] # " + path + ":5: http-hosts", "http-gzip: true # default",
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("it does not show %q:\n%s", line, text)
		}
	}
	again, err := Parse([]string{"--config", write(t, shown.String())}, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	got.Options.Config, again.Config = "", ""
	again.HTTP.Hosts = slices.Clone(again.HTTP.Hosts)
	if again.Fleet != got.Options.Fleet || !slices.Equal(again.HTTP.Hosts, got.Options.HTTP.Hosts) {
		t.Errorf("read back it is %+v, not %+v", again.Fleet, got.Options.Fleet)
	}
}

func TestARehearsalRefusesWhatTheStartWouldAndLeavesNothingBehind(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no certificate":     {[]string{"--http-cert=none.pem", "--http-key=none.pem"}, "none.pem"},
		"no device's key":    {[]string{"--device-jwt-key=a:HS256:none.key", "--device-jwt-issuer=x", "--device-jwt-audience=y"}, "none.key"},
		"no viewer's key":    {[]string{"--viewer-auth=required", "--viewer-jwt-key=a:HS256:none.key", "--viewer-jwt-issuer=x", "--viewer-jwt-audience=y"}, "none.key"},
		"no Redis's URL":     {[]string{"--redis=http://x"}, "redis://"},
		"no broker's URL":    {[]string{"--mqtt-upstream=ftp://x"}, "mqtt://"},
		"an unknown map":     {[]string{"--map-style=none.json"}, "none.json"},
		"a default":          {nil, ""},
		"another broker":     {[]string{"--mqtt-upstream=mqtt://a:1"}, ""},
		"a role, with Redis": {[]string{"--roles=bridge", "--redis=redis://h"}, ""},
		"everybody is asked": {[]string{"--viewer-auth=required", "--device-auth=required", "--http-listen=:0", "--mqtt-listen=:0"}, ""},
	} {
		o, err := Parse(c.args, &bytes.Buffer{})
		if err == nil {
			err = Rehearse(o)
		}
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
	if left, err := os.ReadDir("."); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
}
