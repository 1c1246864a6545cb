package app

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// An edge is one import: from a folder of ours, to a package's path.
type edge struct {
	from, to string
	test     bool
	file     string
}

// violations holds edges against the table and says what is wrong with each, and why.
func violations(edges []edge) []string {
	var out []string
	homeless := map[string]bool{} // said once a package
	for _, e := range edges {
		if _, ok := layers[e.from]; !ok {
			if !homeless[e.from] {
				out = append(out, e.from+" has no row in layers_table_test.go")
			}
			homeless[e.from] = true
			continue
		}
		if why := e.violation(); why != "" {
			out = append(out, fmt.Sprintf("%s: %s imports %s: %s", e.file, e.from, e.to, why))
		}
	}
	return out
}

func (e edge) violation() string {
	if to, ok := strings.CutPrefix(e.to, module+"/"); ok {
		return e.ownViolation(to)
	}
	if first, _, _ := strings.Cut(e.to, "/"); !strings.Contains(first, ".") {
		return "" // the standard library, which everything may import
	}
	return e.libraryViolation()
}

func (e edge) ownViolation(to string) string {
	if e.from == to { // an external test of the package itself
		return ""
	}
	for _, b := range bans {
		if under(e.from, b.from) && under(to, b.to) && !slices.Contains(b.except, to) && !isAllowed(e, to) {
			return b.reason
		}
	}
	level, ok := layers[to]
	if !ok {
		return "the imported package has no row in layers_table_test.go"
	}
	if level < layers[e.from] || isAllowed(e, to) {
		return ""
	}
	return fmt.Sprintf("imports point down: %s is on level %d and %s on level %d", e.from, layers[e.from], to, level)
}

func isAllowed(e edge, to string) bool {
	return slices.ContainsFunc(allowances, func(a allowance) bool {
		if a.testOnly && !e.test {
			return false
		}
		return a.from == e.from && a.to == to || a.below && under(e.from, a.from) && under(to, a.to)
	})
}

func (e edge) libraryViolation() string {
	if e.from == "devices" && !e.test {
		return "the vocabulary imports the standard library only"
	}
	for _, l := range libraries {
		if !under(e.to, l.path) {
			continue
		}
		inTests := slices.Contains(l.tests, "*") || slices.Contains(l.tests, e.from)
		if slices.Contains(l.in, e.from) || e.test && inTests {
			return ""
		}
		return l.reason
	}
	return "the library has no row in layers_table_test.go: is it worth being a dependency?"
}

// under tells whether p is root or below it.
func under(p, root string) bool { return p == root || strings.HasPrefix(p, root+"/") }

func TestImportsPointDownTheTable(t *testing.T) {
	edges := readEdges(t, filepath.Join("..", ".."))
	if len(edges) < 20 { // an empty tree would prove nothing
		t.Fatalf("found %d imports only", len(edges))
	}
	for _, v := range violations(edges) {
		t.Error(v)
	}
}

// readEdges parses the imports of every Go file below root, whatever its build tags.
func readEdges(t *testing.T, root string) []edge {
	t.Helper()
	var edges []edge
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); base == "node_modules" || base == "testdata" || strings.HasPrefix(base, ".") && name != root {
				return fs.SkipDir
			}
			if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil && name != root {
				return fs.SkipDir // a module of its own: tools, of which nothing is in the program
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		found, err := fileEdges(root, name)
		edges = append(edges, found...)
		return err
	})
	if err != nil {
		t.Fatalf("read imports: %v", err)
	}
	return edges
}

func fileEdges(root, name string) ([]edge, error) {
	src, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	rel, err := filepath.Rel(root, name)
	if err != nil {
		return nil, err
	}
	rel = filepath.ToSlash(rel)
	edges := make([]edge, 0, len(file.Imports))
	for _, spec := range file.Imports {
		to, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, fmt.Errorf("unquote import of %s: %w", rel, err)
		}
		edges = append(edges, edge{from: path.Dir(rel), to: to, test: strings.HasSuffix(rel, "_test.go"), file: rel})
	}
	return edges, nil
}

// The checker itself must be able to fail.
func TestEachKindOfWrongImportIsRefused(t *testing.T) {
	own := func(dir string) string { return module + "/" + dir }
	for name, c := range map[string]struct {
		e    edge
		want string // a part of the reason; "" where the import is right
	}{
		"down":                                 {edge{from: "sse", to: own("sse/hub")}, ""},
		"standard library":                     {edge{from: "devices", to: "encoding/json"}, ""},
		"up":                                   {edge{from: "bridge/bus", to: own("bridge")}, "imports point down"},
		"up in a test":                         {edge{from: "bridge/bus", to: own("gateway/app"), test: true}, "imports point down"},
		"sideways":                             {edge{from: "gateway/api", to: own("gateway/mqttin")}, "imports point down"},
		"sideways with an allowance":           {edge{from: "simulator/fleet", to: own("simulator/mqttlite")}, ""},
		"an allowance for tests, in a test":    {edge{from: "bridge/bus", to: own("bridge/bus/bustest"), test: true}, ""},
		"an allowance for tests, in code":      {edge{from: "bridge/bus", to: own("bridge/bus/bustest")}, "imports point down"},
		"edge to bridge":                       {edge{from: "sse", to: own("bridge")}, "the edge knows the bus"},
		"edge to a package below bridge":       {edge{from: "sse", to: own("bridge/dialect")}, "the edge knows the bus"},
		"edge to the bus":                      {edge{from: "sse/hub", to: own("bridge/bus")}, ""},
		"bridge to hub":                        {edge{from: "bridge", to: own("sse/hub")}, "does not know its viewers"},
		"door to bridge":                       {edge{from: "gateway/mqttin", to: own("bridge")}, "appends to the inlet"},
		"simulator inside":                     {edge{from: "simulator/watch", to: own("sse/hub")}, "outsider"},
		"simulator to vocabulary":              {edge{from: "simulator/watch", to: own("devices")}, ""},
		"main to the demo fleet":               {edge{from: "gateway", to: own("simulator/fleet")}, ""},
		"app to the demo fleet":                {edge{from: "gateway/app", to: own("simulator/fleet")}, "imports point down"},
		"to a package without a row":           {edge{from: "gateway/app", to: own("util")}, "no row"},
		"library at home":                      {edge{from: "gateway/mqttin", to: "github.com/mochi-mqtt/server/v2/packets"}, ""},
		"library elsewhere":                    {edge{from: "sse", to: "github.com/mochi-mqtt/server/v2"}, "front end"},
		"library for tests, in a test":         {edge{from: "sse", to: "go.uber.org/goleak", test: true}, ""},
		"library for tests, in code":           {edge{from: "sse", to: "go.uber.org/goleak"}, "leak checks"},
		"library without a row":                {edge{from: "sse", to: "github.com/stretchr/testify/require", test: true}, "worth being a dependency"},
		"a library whose name begins the same": {edge{from: "gateway/api", to: "github.com/go-chi/chix"}, "worth being a dependency"},
		"library in the vocabulary":            {edge{from: "devices", to: "go.yaml.in/yaml/v3"}, "standard library only"},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.e.violation()
			if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
				t.Errorf("violation() = %q, want %q", got, c.want)
			}
		})
	}
}

func TestAPackageWithoutARowIsRefusedOnce(t *testing.T) {
	got := violations([]edge{{from: "gateway/misc", to: "fmt"}, {from: "gateway/misc", to: "os"}, {from: "devices", to: "os"}})
	if len(got) != 1 || !strings.Contains(got[0], "gateway/misc has no row") {
		t.Errorf("violations = %q", got)
	}
}

func TestEveryRowOfTheTableHasAReason(t *testing.T) {
	for _, a := range allowances {
		if a.reason == "" {
			t.Errorf("%s to %s has none", a.from, a.to)
		}
	}
	for _, b := range bans {
		if b.reason == "" {
			t.Errorf("%s to %s has none", b.from, b.to)
		}
	}
	for _, l := range libraries {
		if l.reason == "" {
			t.Errorf("%s has none", l.path)
		}
	}
}
