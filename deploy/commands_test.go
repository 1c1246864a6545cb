package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// notRun are the commands of the documents that no test can run here, each with its reason.
var notRun = map[string]string{
	"make test": "it is what runs this test",
	"bin/gateway --mqtt-upstream mqtts://mqtt.hsl.fi:8883 --preset hsl":                            "it needs the Internet",
	"bin/simulator run reconnect-storm --threshold 'fresh_p99<250ms' --threshold 'silent_loss==0'": "a threshold on time says nothing on a busy machine; the README's run of it is run",
	"bin/gateway history load --dir ./history --postgres postgres://fleet@db.example/fleet":        "it needs a server; gateway/history tests it with one",
	"bin/gateway history load --dir ./history --follow":                                            "the same",
	"bin/simulator compare --gateway bin/gateway --out compare-out":                                "it takes minutes; simulator/bench runs it in small",
}

// before are what a page takes for granted, as it was said elsewhere.
var before = map[string][]string{
	"deploy/docs/simulator.md": {`mosquitto_pub -r -t fleets/north/devices/truck-17/telemetry -m '{"lat":48.85833,"lon":2.29513}'`},
}

// atItsGateway are settings of a page's gateway that its commands need.
var atItsGateway = map[string][]string{
	"deploy/docs/history.md":   {"--history-dir", "./history"},
	"deploy/docs/simulator.md": {"--mqtt-route"}, // what is recorded is what a broker passes on
}

// TestEveryCommandOfTheDocumentsWorks runs the lines of the sh blocks of every document in their order: with a gateway for
// each document, on free ports, and for a shorter time.
func TestEveryCommandOfTheDocumentsWorks(t *testing.T) {
	t.Parallel()
	if err := programs(); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, document := range documents(t) {
		commands := shellCommands(read(t, root, document))
		all = append(all, commands...)
		if len(commands) == 0 {
			continue
		}
		t.Run(document, func(t *testing.T) {
			t.Parallel()
			r := newReader(t)
			if !slices.Contains(commands, "bin/gateway") { // else it starts one itself
				r.run(t, strings.Join(append([]string{"bin/gateway"}, atItsGateway[document]...), " ")+" &")
			}
			for _, command := range append(before[document], commands...) {
				if notRun[command] == "" {
					r.run(t, command)
				}
			}
		})
	}
	if len(all) < 40 {
		t.Errorf("the documents have %d commands; the test must have lost its way", len(all))
	}
	for command := range notRun {
		if !slices.Contains(all, command) {
			t.Errorf("no document has %q any more", command)
		}
	}
}

// shellCommands are the lines of the ```sh blocks, without comments. A line that ends in \ or | goes on in the next.
func shellCommands(markdown string) []string {
	var out []string
	isInside, goesOn := false, false
	for line := range strings.Lines(markdown) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "```") {
			isInside = line == "```sh"
			continue
		}
		line, _, _ = strings.Cut(line, " # ")
		line = strings.TrimSpace(regexp.MustCompile(`\s# .*`).ReplaceAllString(line, ""))
		if !isInside || line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		next := strings.TrimSuffix(line, `\`)
		if goesOn {
			out[len(out)-1] += " " + strings.TrimSpace(next)
		} else {
			out = append(out, strings.TrimSpace(next))
		}
		goesOn = next != line || strings.HasSuffix(line, "|")
	}
	return out
}

func TestCommandsAreReadAsAShellReadsThem(t *testing.T) {
	t.Parallel()
	got := shellCommands("```sh\na b   # why\n# only words\nc \\\n  d\ne |\n  f\n```\n\n```js\nno\n```\n```sh\ng '#'\n```\n")
	if want := []string{"a b", "c d", "e | f", "g '#'"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// What stands in a sentence is not run; that its first word is a command is what is left.
func TestEveryCommandInASentenceIsOne(t *testing.T) {
	t.Parallel()
	c, found := readSource(t), 0
	called := regexp.MustCompile(`^(?:bin/)?(?:gateway|simulator) ([a-z][a-z-]*)`)
	eachSpan(t, func(document string, s span) {
		if m := called.FindStringSubmatch(s.text); m != nil && !s.isBlock {
			if found++; !c.commands[m[1]] {
				t.Errorf("%s: %q: there is no such command", document, s.text)
			}
		}
	})
	if found < 20 {
		t.Errorf("found %d commands only", found)
	}
}

// TestTheReadmesHookIsTheArticles holds the README's React hook to the page that is tested in a browser.
func TestTheReadmesHookIsTheArticles(t *testing.T) {
	t.Parallel()
	readme := read(t, root, "README.md")
	page := read(t, root, "sse/dashboard/testdata/article/hook.txt")
	_, hook, _ := strings.Cut(readme, "```js\n")
	hook, _, _ = strings.Cut(hook, "```")
	for line := range strings.Lines(hook) {
		if line = strings.TrimSpace(line); !strings.Contains(page, line) {
			t.Errorf("the tested page has no line %q", line)
		}
	}
}

// newReader makes the folder in which a reader types: the programs are in bin, as after make build.
func newReader(t *testing.T) *reader {
	t.Helper()
	r := &reader{dir: t.TempDir(), mqtt: port(t), http: port(t), admin: port(t), atEnd: t.Cleanup}
	whole, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"bin": bin, "deploy": filepath.Join(whole, "deploy")} {
		if err := os.Symlink(target, filepath.Join(r.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func port(t *testing.T) string {
	t.Helper()
	address := freeAddress(t)
	return address[strings.LastIndex(address, ":")+1:]
}
