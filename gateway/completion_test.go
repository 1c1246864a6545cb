package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestShellsCompleteTheCommandLine has each shell that is there complete lines as if somebody had pressed the key. Each that
// is not there is skipped, but under CI, where make installs it.
func TestShellsCompleteTheCommandLine(t *testing.T) {
	program := build(t)
	path := filepath.Dir(program) + string(os.PathListSeparator) + os.Getenv("PATH")
	for shell, script := range map[string]string{
		"bash": `source <(gateway completion bash) || exit 1
press() {
	COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
	_gateway gateway && echo "${COMPREPLY[*]}"
}
complete -p gateway | grep -q -- '-F _gateway' || exit 1
press gateway conf
press gateway --viewer-auth ''
press gateway --log-format = j
press gateway config check --mqtt-tls-ce
press gateway devices li
`,
		"fish": `gateway completion fish | source
for line in "gateway conf" "gateway --viewer-auth " "gateway --log-format=j" "gateway config check --mqtt-tls-ce" "gateway devices li"
	string join " " -- (complete -C $line | string replace -r '\t.*' '' | string replace -- '--log-format=' '')
end
true
`,
		// compadd works while somebody types only: here it says what it was given.
		"zsh": `compdef() { }
source <(gateway completion zsh)
compadd() { shift; echo "$*" }
_files() { echo files }
press() { words=("$@"); CURRENT=$#; _gateway }
press gateway conf
press gateway --viewer-auth ''
press gateway --log-format=j | sed s/--log-format=//
press gateway config check --mqtt-tls-ce
press gateway devices li
`,
	} {
		t.Run(shell, func(t *testing.T) {
			if _, err := exec.LookPath(shell); err != nil {
				if os.Getenv("CI") != "" {
					t.Fatalf("%s is not installed: sudo apt-get install %s", shell, shell)
				}
				t.Skipf("%s is not installed", shell)
			}
			cmd := exec.CommandContext(t.Context(), shell, "-c", script)
			cmd.Env = append(os.Environ(), "PATH="+path, "HOME="+t.TempDir())
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			want := "config\nopen required\njson\n--mqtt-tls-cert\nlist\n"
			if got := string(out); got != want {
				t.Errorf("it completes\n%swant\n%s", got, want)
			}
		})
	}
	out, err := exec.CommandContext(t.Context(), program, "__complete", "--", "devices", "x").CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "" {
		t.Errorf("what nobody knows: %v, %q", err, out)
	}
}
