package openapi

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/fstest"
)

func TestTheFilesBecomeOneDocument(t *testing.T) {
	text, err := Document()
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		OpenAPI string
		Tags    []struct{ Name string }
		Paths   map[string]any
	}
	if err := json.Unmarshal(text, &d); err != nil || !strings.HasPrefix(d.OpenAPI, "3.1.") || len(d.Tags) < 5 || d.Paths["/api/assets"] == nil {
		t.Errorf("%v: %+v", err, d)
	}
	for _, part := range []string{"", "docs.js", "docs.css"} {
		if body, kind, ok := Page(part); !ok || len(body) == 0 || !strings.Contains(kind, "utf-8") {
			t.Errorf("the page has no %q", part)
		}
	}
	if _, _, ok := Page("../openapi.go"); ok {
		t.Error("the page has parts that it has not")
	}
}

func TestFilesAreMergedInTheirOrder(t *testing.T) {
	shared := `{openapi: 3.1.1, tags: [], paths: {}, components: {schemas: {A: {type: integer, maximum: 1.50}}}}`
	got, err := build(fstest.MapFS{
		"openapi.yaml": {Data: []byte(shared)},
		"a.yaml":       {Data: []byte("tags: [{name: A}]\npaths: {/z: {get: {x: \"<é\"}}, /b: {200: null, on: true}}\n")},
		"b.yaml":       {Data: []byte("components: {schemas: {B: {maximum: 1795353543237}}}\n")},
	})
	want := `{"openapi":"3.1.1","tags":[{"name":"A"}],"paths":{"/z":{"get":{"x":"\u003cé"}},"/b":{"200":null,"on":true}},` +
		`"components":{"schemas":{"A":{"type":"integer","maximum":1.5},"B":{"maximum":1795353543237}}}}`
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s\n%s", err, got, want)
	}
	for _, bad := range []string{
		"components: {schemas: {A: {}}}", "paths: {/z: {}, /z: {}}", "info: {}", "components: {things: {}}", "openapi: 3.1.0", "- x", "a: [", "paths: {/x: &a {}, /y: *a}",
	} {
		if got, err := build(fstest.MapFS{"openapi.yaml": {Data: []byte(shared)}, "a.yaml": {Data: []byte(bad)}}); err == nil {
			t.Errorf("%q gives %s", bad, got)
		}
	}
}
