package lint

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

func TestComposeReadsItsFile(t *testing.T) {
	options, err := cli.NewProjectOptions([]string{"../docker/compose.yaml"}, cli.WithName("fleetcast"))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context()) // refuses members that it does not know
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"bridge", "broker", "edge", "grafana", "prometheus", "redis"}
	if names := project.ServiceNames(); !slices.Equal(names, want) {
		t.Errorf("the services are %v, want %v", names, want)
	}
	for _, role := range []string{"broker", "bridge", "edge"} {
		s, err := project.GetService(role)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Environment["FLEETCAST_ROLES"]; got == nil || *got != role {
			t.Errorf("%s has the roles %v", role, got)
		}
		if s.StopGracePeriod == nil || *s.StopGracePeriod < 20e9 {
			t.Errorf("%s is killed after %v", role, s.StopGracePeriod)
		}
		if s.Build == nil || !exists(s.Build.Context+"/"+s.Build.Dockerfile) || s.DependsOn["redis"].Condition != "service_healthy" || !s.ReadOnly {
			t.Errorf("%s is built by %+v, and starts when %+v", role, s.Build, s.DependsOn)
		}
	}
	for _, s := range project.Services {
		for _, v := range s.Volumes {
			if v.Type == "bind" && !exists(v.Source) {
				t.Errorf("%s: there is no %s", s.Name, v.Source)
			}
		}
		if name := s.Image; s.Build == nil && (!strings.Contains(name, ":") || strings.HasSuffix(name, ":latest")) {
			t.Errorf("%s is of whatever version: %s", s.Name, name)
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestBuildKitReadsTheDockerfile(t *testing.T) {
	text, err := os.ReadFile("../docker/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	result, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range result.Warnings {
		t.Errorf("the parser says: %s", w.Short)
	}
	warn := func(rule, description, _, message string, _ []parser.Range) {
		t.Errorf("%s: %s (%s)", rule, message, description)
	}
	stages, _, err := instructions.Parse(result.AST, linter.New(&linter.Config{Warn: warn}))
	if err != nil {
		t.Fatal(err)
	}
	last := stages[len(stages)-1]
	user := ""
	for _, c := range last.Commands {
		switch c := c.(type) {
		case *instructions.UserCommand:
			user = c.User
		case *instructions.CopyCommand:
			if !slices.ContainsFunc(stages, func(s instructions.Stage) bool { return s.Name == c.From }) {
				t.Errorf("there is no stage %q to copy from", c.From)
			}
		}
	}
	if user == "" || strings.HasPrefix(user, "root") || strings.HasPrefix(user, "0") {
		t.Errorf("the image runs as %q", user)
	}
	for _, s := range stages {
		if !strings.Contains(s.BaseName, ":") || strings.HasSuffix(s.BaseName, ":latest") {
			t.Errorf("a stage is of whatever version: %s", s.BaseName)
		}
	}
}
