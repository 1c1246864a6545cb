package deploy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unicode"
)

// code is what the Go files of the repository declare and say.
type code struct {
	members  map[string]map[string]bool // of packages and of types, by name: what is declared in them
	declared map[string]bool            // every name
	tests    map[string]bool            // Test…, Benchmark…, Fuzz…
	words    map[string]bool            // of string literals: names on the wire, reasons, settings
	texts    map[string]bool            // whole string literals

	flags     map[string]bool // of commands, without the dashes
	commands  map[string]bool // words that name one
	variables map[string]bool // of the environment, those of tests too
}

// source reads the tree once; all tests of this folder share it.
var source = sync.OnceValues(func() (*code, error) {
	known, err := files()
	if err != nil {
		return nil, err
	}
	c := &code{
		members: map[string]map[string]bool{}, declared: map[string]bool{}, tests: map[string]bool{}, words: map[string]bool{},
		texts: map[string]bool{}, flags: map[string]bool{}, commands: map[string]bool{}, variables: map[string]bool{},
	}
	for name := range known {
		if !strings.HasSuffix(name, ".go") || strings.HasPrefix(name, "deploy/") { // these tests name what is missing
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		c.add(file, strings.HasSuffix(name, "_test.go"))
	}
	return c, nil
})

func (c *code) add(file *ast.File, isTest bool) {
	pkg := file.Name.Name
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			owner := pkg
			if d.Recv != nil {
				owner = receiver(d.Recv.List[0].Type)
			}
			c.declare(owner, d.Name.Name)
			if isTest && d.Recv == nil {
				c.tests[d.Name.Name] = true
			}
		case *ast.GenDecl:
			c.addSpecs(pkg, d)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch v := n.(type) {
		case *ast.BasicLit:
			if v.Kind == token.STRING {
				c.addText(v.Value, isTest)
			}
		case *ast.Field:
			if v.Tag != nil && len(v.Names) == 1 {
				c.addFlag(v.Names[0].Name, v.Tag.Value)
			}
		}
		return true
	})
}

func (c *code) addText(literal string, isTest bool) {
	text, err := strconv.Unquote(literal)
	if err != nil {
		return
	}
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		if strings.HasPrefix(word, "FLEETCAST_") {
			c.variables[word] = true
		}
		if !isTest {
			c.words[word] = true
		}
	}
	if !isTest {
		c.texts[text] = true
	}
}

// addFlag notes a field of a command as kong reads it.
func (c *code) addFlag(field, literal string) {
	text, err := strconv.Unquote(literal)
	if err != nil {
		return
	}
	tag := reflect.StructTag(text)
	if tag.Get("help") == "" {
		return
	}
	name := tag.Get("name")
	if name == "" {
		name = strings.ToLower(regexp.MustCompile(`([a-z0-9])([A-Z])|([A-Z])([A-Z][a-z])`).ReplaceAllString(field, "$1$3-$2$4"))
	}
	if _, isCommand := tag.Lookup("cmd"); isCommand {
		c.commands[name] = true
		return
	}
	c.flags[name] = true
	for alias := range strings.SplitSeq(tag.Get("aliases"), ",") {
		c.flags[alias] = true
	}
}

func (c *code) addSpecs(pkg string, d *ast.GenDecl) {
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.ValueSpec:
			for _, name := range s.Names {
				c.declare(pkg, name.Name)
			}
		case *ast.TypeSpec:
			c.declare(pkg, s.Name.Name)
			ast.Inspect(s.Type, func(n ast.Node) bool {
				if field, ok := n.(*ast.Field); ok {
					for _, name := range field.Names {
						c.declare(s.Name.Name, name.Name)
					}
				}
				return true
			})
		}
	}
}

func (c *code) declare(owner, name string) {
	if c.members[owner] == nil {
		c.members[owner] = map[string]bool{}
	}
	c.members[owner][name], c.declared[name] = true, true
}

func receiver(of ast.Expr) string {
	switch e := of.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	default:
		return ""
	}
}

// resolves tells whether each step of a dotted name is declared in the one before it.
func (c *code) resolves(dotted string) bool {
	steps := strings.Split(dotted, ".")
	for i := 1; i < len(steps); i++ {
		if !c.members[steps[i-1]][steps[i]] {
			return false
		}
	}
	return true
}

func readSource(t *testing.T) *code {
	t.Helper()
	c, err := source()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var (
	looksDotted   = regexp.MustCompile(`^[A-Za-z]\w*(\.[A-Za-z]\w*)+$`)
	looksExported = regexp.MustCompile(`\.[A-Z]`)
	looksLikeTest = regexp.MustCompile(`^(?:Test|Benchmark|Fuzz)[A-Z]\w*…?$`)
)

func TestEverySymbolThatTheDocumentsNameIsInTheCode(t *testing.T) {
	t.Parallel()
	c, found := readSource(t), 0
	eachSpan(t, func(document string, s span) {
		name := strings.TrimSuffix(s.text, "()")
		isSymbol := document == "ARCHITECTURE.md" || looksExported.MatchString(name) // elsewhere small ones are counters
		isPlaceholder := strings.ToUpper(path.Ext(name)) == path.Ext(name)           // as in metrics.NAME
		if s.isBlock || !looksDotted.MatchString(name) || looksLikeAFile.MatchString(name) || !isSymbol || isPlaceholder {
			return
		}
		found++
		if !c.resolves(name) {
			t.Errorf("%s: there is no %s in the code", document, name)
		}
	})
	if found < 10 {
		t.Errorf("found %d symbols only", found)
	}
}

func TestEveryTestThatTheDocumentsNameIsThere(t *testing.T) {
	t.Parallel()
	c, found := readSource(t), 0
	eachSpan(t, func(document string, s span) {
		if !looksLikeTest.MatchString(s.text) {
			return
		}
		found++
		prefix, isPrefix := strings.CutSuffix(s.text, "…")
		ok := c.tests[s.text]
		for name := range c.tests {
			ok = ok || isPrefix && strings.HasPrefix(name, prefix)
		}
		if !ok {
			t.Errorf("%s: there is no %s", document, s.text)
		}
	})
	if found < 12 {
		t.Errorf("found %d tests only", found)
	}
}

// notOfTheCode are words in code font in ARCHITECTURE.md that belong to others: browsers, shells and protocols.
var notOfTheCode = map[string]string{
	"fetch":        "browsers have it",
	"localStorage": "browsers have it",
}

// A name in code font in ARCHITECTURE.md is declared, or is a word of the wire that stands in the code.
func TestEveryNameInArchitectureIsInTheCode(t *testing.T) {
	t.Parallel()
	c := readSource(t)
	isName := regexp.MustCompile(`^[A-Za-z_]\w*$`)
	for _, s := range spans(read(t, root, "ARCHITECTURE.md")) {
		if s.isBlock || !isName.MatchString(s.text) || looksLikeTest.MatchString(s.text) || notOfTheCode[s.text] != "" || allFiles(t)[s.text] {
			continue
		}
		if !c.declared[s.text] && !c.words[s.text] {
			t.Errorf("there is no %s in the code", s.text)
		}
	}
}

// A counter is named as it stands in /api/stats: each of its steps is a word of the code.
func TestEveryCounterThatTheDocumentsNameIsInTheCode(t *testing.T) {
	t.Parallel()
	c, found := readSource(t), 0
	isCounter := regexp.MustCompile(`^[a-z][a-z_0-9]*(\.[a-z_0-9*]+)+$`)
	for _, document := range []string{"limits.md", "hygiene.md", "mqtt.md", "runbook.md"} {
		for _, s := range spans(read(t, "docs", document)) {
			if s.isBlock || !isCounter.MatchString(s.text) || looksLikeAFile.MatchString(s.text) {
				continue
			}
			found++
			for step := range strings.SplitSeq(s.text, ".") {
				if step != "*" && !c.words[step] {
					t.Errorf("%s: %s: the code does not say %s", document, s.text, step)
				}
			}
		}
	}
	if found < 60 {
		t.Errorf("found %d counters only", found)
	}
}

// The reader of the tree must be able to say no.
func TestWhatIsNotInTheCodeDoesNotResolve(t *testing.T) {
	t.Parallel()
	c := readSource(t)
	for name, want := range map[string]bool{
		"hub.Hub": true, "hub.Hub.mu": true, "Asset.AppendJSON": true, "devices.Asset.AppendJSON": true,
		"hub.Bub": false, "hub.Hub.nu": false, "Asset.PrependJSON": false, "bub.Hub": false, "devices.Asset.mu": false,
	} {
		if c.resolves(name) != want {
			t.Errorf("%s resolves: %v", name, !want)
		}
	}
}
