package completion

import (
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

func tree(t *testing.T) *Node {
	t.Helper()
	k, err := kong.New(&struct {
		Verbose bool `help:"More." negatable:""`
		List    struct {
			Format string `enum:"json,table" default:"table" help:"How."`
			File   string `help:"Where."`
		} `cmd:"" help:"List."`
		Link struct {
			What string `arg:"" enum:"road,rail" help:"Of what."`
		} `cmd:"" help:"Link."`
		Secret struct{} `cmd:"" hidden:""`
	}{}, kong.Name("p"))
	if err != nil {
		t.Fatal(err)
	}
	return Of(k)
}

func TestWhatMayFollow(t *testing.T) {
	root := tree(t)
	for line, want := range map[string]string{
		"":                        "link list",
		"l":                       "link list",
		"lin":                     "link",
		"x":                       "",
		"-":                       "--help --no-verbose --verbose",
		"--verb":                  "--verbose",
		"list |":                  "",
		"list --f":                "--file --format",
		"list --verbose --fo":     "--format", // a flag of the root holds below it
		"list --format |":         "json table",
		"list --format t":         "table",
		"list --format = t":       "table", // as bash cuts it
		"list --format =":         "json table",
		"list --format=t":         "--format=table",
		"list --format json,t":    "json,table",
		"list --file |":           "", // the shell's files
		"list --file link --form": "--format",
		"link r":                  "rail road",
	} {
		words := strings.Split(strings.ReplaceAll(line, "|", ""), " ")
		got := strings.Join(root.Complete(words), " ")
		if got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
	if root.Find("list") == nil || root.Find("list", "x") != nil {
		t.Error("commands are not found by their paths")
	}
	if got := root.Complete(nil); !slices.Equal(got, []string{"link", "list"}) {
		t.Errorf("no words: %v", got)
	}
}

func TestNoScriptForAnUnknownShell(t *testing.T) {
	if err := WriteScript(&strings.Builder{}, "tcsh", "p"); err == nil {
		t.Error("no error")
	}
}
