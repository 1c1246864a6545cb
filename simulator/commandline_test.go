package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

func model(t *testing.T) *kong.Application {
	t.Helper()
	parser, err := kong.New(&cli{}, kong.Name("simulator"))
	if err != nil {
		t.Fatal(err)
	}
	return parser.Model
}

func TestReportsKeepNoSecretOfTheCommandLine(t *testing.T) {
	for _, c := range [][2]string{
		{"fleet --devices 5 --password hunter2 --qos 1", "fleet --devices 5 --password *** --qos 1"},
		{"fleet --password=hunter2=", "fleet --password=***"},
		{"fleet --username ann --password", "fleet --username ann --password"},
		{"watch --header Authorization:hunter2 --url https://ann:hunter2@edge/stream?fleet=a@b", "watch --header Authorization: *** --url https://***@edge/stream?fleet=a@b"},
		{"watch --header=Cookie:hunter2 --header hunter2", "watch --header=Cookie: *** --header ***"},
		{"run morning --mqtt=mqtts://hunter2@broker:8883 --url=http://edge/@x", "run morning --mqtt=mqtts://***@broker:8883 --url=http://edge/@x"},
		{"prove --header Authorization:hunter2 --threshold silent_loss==0 --credentials file.csv", "prove --header Authorization: *** --threshold silent_loss==0 --credentials file.csv"},
	} {
		line, want := c[0], c[1]
		args := strings.Fields(line)
		got := strings.Join(commandLine(model(t), args), " ")
		if got != "simulator "+want {
			t.Errorf("%s\nis shown as\n%s", line, got)
		}
		if strings.Join(args, " ") != line {
			t.Errorf("the arguments themselves became %q", args)
		}
	}
}

// A flag that is added later and takes a secret has to say so.
func TestEveryFlagThatSoundsSecretIsMarked(t *testing.T) {
	secrets := map[string]string{}
	m := model(t)
	noteSecrets(m.Node, secrets)
	if secrets["--password"] != "all" || secrets["--header"] != "header" {
		t.Errorf("%v", secrets)
	}
	sounds := regexp.MustCompile(`password|token|secret|header|api-?key|bearer|cookie`)
	var visit func(n *kong.Node)
	visit = func(n *kong.Node) {
		for _, f := range n.Flags {
			if sounds.MatchString(f.Name) && secrets["--"+f.Name] == "" {
				t.Errorf("--%s of %s is in reports as it was written", f.Name, n.Path())
			}
		}
		for _, child := range n.Children {
			visit(child)
		}
	}
	visit(m.Node)
}
