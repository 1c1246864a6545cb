package main

import (
	"regexp"
	"strings"

	"github.com/alecthomas/kong"
)

// A flag's tag secret says that its value is kept out of reports: "all" of it, or "header", of which the name is told.
const (
	secretTag = "secret"
	hidden    = "***"
)

// userinfo is what stands in a URL before its host.
var userinfo = regexp.MustCompile(`://[^/?#\s@]*@`)

// commandLine is what was asked for, as a report may show it to anybody.
func commandLine(model *kong.Application, args []string) []string {
	secrets := map[string]string{}
	noteSecrets(model.Node, secrets)
	shown := append([]string{model.Name}, args...)
	for i := 1; i < len(shown); i++ {
		name, value, together := strings.Cut(shown[i], "=")
		kind, ok := secrets[name]
		switch {
		case ok && together:
			shown[i] = name + "=" + hide(kind, value)
		case ok && i+1 < len(shown):
			i++
			shown[i] = hide(kind, shown[i])
		default:
			shown[i] = userinfo.ReplaceAllString(shown[i], "://"+hidden+"@")
		}
	}
	return shown
}

// noteSecrets collects the flags of a command and of those below it whose values are secret.
func noteSecrets(n *kong.Node, into map[string]string) {
	for _, f := range n.Flags {
		if kind := f.Tag.Get(secretTag); kind != "" {
			into["--"+f.Name] = kind
		}
	}
	for _, child := range n.Children {
		noteSecrets(child, into)
	}
}

func hide(kind, value string) string {
	if name, _, found := strings.Cut(value, ":"); found && kind == "header" {
		return name + ": " + hidden
	}
	return hidden
}
