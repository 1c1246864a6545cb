package deploy

import (
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fleetcast/fleetcast/gateway/api/openapi/openapitest"
)

// root is the repository, seen from this folder.
const root = ".."

// documents are what people read, by their paths below root. CHANGELOG.md is not: it also names what is gone.
func documents(t *testing.T) []string {
	t.Helper()
	found := []string{"deploy/docs/bench/report.md"}
	for _, pattern := range []string{"*.md", "deploy/*.md", "deploy/docs/*.md", "sse/dashboard/*.md", "sse/dashboard/client/*.md"} {
		names, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if name = filepath.ToSlash(name[len(root)+1:]); name != "CHANGELOG.md" {
				found = append(found, name)
			}
		}
	}
	if len(found) < 15 {
		t.Fatalf("found %d documents only", len(found))
	}
	return found
}

// A span is a piece of code in a document: what stands between backticks, or a line of a block.
type span struct {
	text      string
	paragraph string // what it stands in
	isBlock   bool
}

var betweenBackticks = regexp.MustCompile("`([^`\n]+)`")

// spans are all code of a document, in its order.
func spans(markdown string) []span {
	var out []span
	isBlock := false
	for _, paragraph := range paragraphs(markdown) {
		if strings.HasPrefix(strings.TrimSpace(paragraph), "```") {
			isBlock = !isBlock
			continue
		}
		if isBlock || strings.HasPrefix(paragraph, "    ") {
			out = append(out, span{strings.TrimSpace(paragraph), paragraph, true})
			continue
		}
		for _, found := range betweenBackticks.FindAllStringSubmatch(paragraph, -1) {
			out = append(out, span{found[1], paragraph, false})
		}
	}
	return out
}

// paragraphs are those of a document; rows of tables, items of lists and lines of blocks are each their own.
func paragraphs(markdown string) []string {
	var out []string
	isBlock, isOpen := false, false
	for line := range strings.Lines(markdown) {
		line = strings.TrimRight(line, "\n")
		isFence := strings.HasPrefix(strings.TrimSpace(line), "```")
		begins := isBlock || isFence || regexp.MustCompile(`^(\d+\. |- |\||#|    )`).MatchString(line)
		switch {
		case line == "":
			isOpen = false
		case begins || !isOpen:
			out = append(out, line)
			isOpen = !isBlock && !isFence
		default:
			out[len(out)-1] += "\n" + line
		}
		if isFence {
			isBlock, isOpen = !isBlock, false
		}
	}
	return out
}

// eachSpan calls check with every piece of code of every document.
func eachSpan(t *testing.T, check func(document string, s span)) {
	t.Helper()
	for _, document := range documents(t) {
		for _, s := range spans(read(t, root, document)) {
			check(document, s)
		}
	}
}

// files are all files of the repository, by their paths below root.
var files = sync.OnceValues(func() (map[string]bool, error) {
	found := map[string]bool{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() && name != root && (base == "node_modules" || base == "dist" || base == "bin" || base == "bench-out" || strings.HasPrefix(base, ".")) {
			return fs.SkipDir
		}
		if name != root {
			found[filepath.ToSlash(name[len(root)+1:])] = true
		}
		return nil
	})
	return found, err
})

func allFiles(t *testing.T) map[string]bool {
	t.Helper()
	found, err := files()
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestEveryLinkOfTheDocumentsLeadsSomewhere(t *testing.T) {
	t.Parallel()
	known, links := allFiles(t), 0
	for _, document := range documents(t) {
		text := read(t, root, document)
		for _, link := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(text, -1) {
			target, heading, _ := strings.Cut(link[1], "#")
			if strings.Contains(target, "://") {
				continue // of others, which no test of ours asks
			}
			links++
			if target == "" {
				target = path.Base(document)
			}
			target = path.Join(path.Dir(document), target)
			if !known[target] {
				t.Errorf("%s: there is no %s", document, target)
				continue
			}
			if heading != "" && !slices.Contains(anchors(read(t, root, target)), heading) {
				t.Errorf("%s: %s has no heading %q", document, target, heading)
			}
		}
	}
	if links < 40 {
		t.Errorf("found %d links only", links)
	}
}

// anchors are the names of a document's headings in links.
func anchors(markdown string) []string {
	var out []string
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(markdown, -1) {
		name := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		out = append(out, strings.ReplaceAll(name, " ", "-"))
	}
	return out
}

var (
	looksLikeAPath = regexp.MustCompile(`^[\w.@-]+(/[\w.@-]+)*/?$`)
	// What a person has or gets, as compare.md, is no path of ours.
	looksLikeAFile = regexp.MustCompile(`^[\w.-]+\.(go|ts|tsx|css|cjs|lua)$`)
)

// A path is there, below root or beside its document. A file without a folder is in one that its paragraph names.
func TestEveryPathInTheDocumentsIsThere(t *testing.T) {
	t.Parallel()
	known, paths := allFiles(t), 0
	eachSpan(t, func(document string, s span) {
		name := strings.TrimSuffix(s.text, "/")
		if s.isBlock || !looksLikeAPath.MatchString(s.text) {
			return
		}
		first, _, isPath := strings.Cut(name, "/")
		beside := path.Dir(document)
		switch {
		case isPath && first != "bin" && first != "." && (known[first] || known[path.Join(beside, first)]):
			paths++
			if !known[name] && !known[path.Join(beside, name)] {
				t.Errorf("%s: there is no %s", document, s.text)
			}
		case looksLikeAFile.MatchString(name):
			paths++
			if !isInAFolderOf(known, s, name) {
				t.Errorf("%s: there is no %s in what its paragraph names", document, name)
			}
		}
	})
	if paths < 60 {
		t.Errorf("found %d paths only", paths)
	}
}

func isInAFolderOf(known map[string]bool, s span, name string) bool {
	var folders []string
	for _, other := range betweenBackticks.FindAllStringSubmatch(s.paragraph, -1) {
		folder := strings.TrimSuffix(other[1], "/")
		if looksLikeAFile.MatchString(path.Base(folder)) {
			folder = path.Dir(folder)
		}
		if folder != "." && known[folder] {
			folders = append(folders, folder)
		}
	}
	if len(folders) == 0 || known[name] { // none named: it is unmistakable, or each package has one
		for file := range known {
			if path.Base(file) == name {
				return true
			}
		}
	}
	return slices.ContainsFunc(folders, func(folder string) bool { return known[path.Join(folder, name)] })
}

func TestEveryEndpointInTheDocumentsIsDescribed(t *testing.T) {
	t.Parallel()
	contract, err := openapitest.Load()
	if err != nil {
		t.Fatal(err)
	}
	endpoint, found := regexp.MustCompile(`(?:^|[\s"'])(?:(GET|POST|PUT|PATCH|DELETE)`+"(?:`, `[A-Z]+)*"+` )?(?:http://127\.0\.0\.1:8080|localhost:8080)?(/(?:api|stream)/[\w.{}/…-]+)`), 0
	eachSpan(t, func(document string, s span) {
		for _, m := range endpoint.FindAllStringSubmatch(s.text, -1) {
			found++
			method, place := m[1], strings.TrimSuffix(m[2], "/")
			if !isDescribed(contract, method, place) {
				t.Errorf("%s: %q: %s %s is not in the description", document, s.text, method, place)
			}
		}
	})
	if found < 60 {
		t.Errorf("found %d endpoints only", found)
	}
}

// isDescribed tells whether the description has a path, with the method if one is named. A parameter stands for any name.
func isDescribed(contract *openapitest.Contract, method, place string) bool {
	want := strings.Split(place, "/")
	for template, item := range contract.Document.Paths.Map() {
		have := strings.Split(template, "/")
		fits := len(have) == len(want)
		for i := 0; fits && i < len(have); i++ {
			fits = have[i] == want[i] || strings.HasPrefix(have[i], "{") && want[i] != ""
		}
		if fits && (method == "" || item.GetOperation(method) != nil) {
			return true
		}
	}
	return false
}

// settings of both programs: what the gateway's help names, and every field of a command with a help of its own.
func flags(t *testing.T) map[string]bool {
	t.Helper()
	known := map[string]bool{"--help": true, "--version": true}
	for _, name := range settings(t) {
		known[name] = true
		known["--"+strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, "FLEETCAST_"), "_", "-"))] = true
	}
	for name := range readSource(t).flags {
		known["--"+name] = true
	}
	return known
}

// flagsOfOthers stand in commands of our documents and belong to other programs; the variable is vite's configuration's.
var flagsOfOthers = []string{"FLEETCAST_GATEWAY", "--latency", "--ignore-scripts", "--now", "--no-create-home", "--system", "--from"}

func TestEveryFlagAndVariableInTheDocumentsIsThere(t *testing.T) {
	t.Parallel()
	known, c := flags(t), readSource(t)
	named := regexp.MustCompile(`(?:^|[\s('"/\x60])(--[a-z][a-z0-9-]+)|(FLEETCAST_[A-Z0-9_]+)`)
	found := 0
	eachSpan(t, func(document string, s span) {
		for _, m := range named.FindAllStringSubmatch(s.text, -1) {
			found++
			name := m[1] + m[2]
			isElsewhere := m[2] != "" && c.variables[name] || slices.Contains(flagsOfOthers, name)
			if !known[name] && !isElsewhere {
				t.Errorf("%s: %q: neither program has %s", document, s.text, name)
			}
		}
	})
	if found < 150 || len(known) < 200 {
		t.Errorf("found %d names of %d: the test does not see them", found, len(known))
	}
}

func TestEveryTargetOfMakeInTheDocumentsIsThere(t *testing.T) {
	t.Parallel()
	makefile := read(t, root, "Makefile")
	eachSpan(t, func(document string, s span) {
		for _, m := range regexp.MustCompile(`(?:^|\s)make ([a-z-]+)`).FindAllStringSubmatch(s.text, -1) {
			if !regexp.MustCompile(`(?m)^` + m[1] + `:`).MatchString(makefile) {
				t.Errorf("%s: there is no make %s", document, m[1])
			}
		}
	})
}
