package completion

import (
	"fmt"
	"io"
	"strings"
)

// Ask is the first word by which the scripts ask the program. What follows it, after --, are the words so far.
const Ask = "__complete"

// Shells are those that have a script.
const Shells = "bash,zsh,fish"

var scripts = map[string]string{
	"bash": `# bash: source <(PROGRAM completion bash)
_PROGRAM() {
    local IFS=$'\n'
    COMPREPLY=($("$1" __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o bashdefault -o default -F _PROGRAM PROGRAM
`,
	"zsh": `#compdef PROGRAM
# zsh: source <(PROGRAM completion zsh), after compinit
_PROGRAM() {
    local -a found
    found=("${(@f)$("${words[1]}" __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n "${found[1]}" ]]; then
        compadd -- "${found[@]}"
    else
        _files
    fi
}
compdef _PROGRAM PROGRAM
`,
	"fish": `# fish: PROGRAM completion fish | source
function __PROGRAM_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l found ($words[1] __complete -- $words[2..-1] 2>/dev/null)
    if test (count $found) -gt 0
        string join \n -- $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c PROGRAM -f -a '(__PROGRAM_complete)'
`,
}

// WriteScript writes what a shell has to read for it to complete the program's command line.
func WriteScript(w io.Writer, shell, program string) error {
	script, ok := scripts[shell]
	if !ok {
		return fmt.Errorf("there is no completion for %q; there is for %s", shell, Shells)
	}
	_, err := io.WriteString(w, strings.ReplaceAll(script, "PROGRAM", program))
	return err
}

// Answer writes the words that may stand in place of the last of args, one a line. args are those after Ask.
func (n *Node) Answer(w io.Writer, args []string) error {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	for _, word := range n.Complete(args) {
		if _, err := fmt.Fprintln(w, word); err != nil {
			return err
		}
	}
	return nil
}
