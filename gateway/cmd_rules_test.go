package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRulesAndFencesAreManagedFromTheCommandLine(t *testing.T) {
	c := newCommandLine(t, nil)
	file := filepath.Join(t.TempDir(), "rules.json")
	if err := os.WriteFile(file, []byte(`[{"id":"in","when":{"type":"fence","fence":"depot","on":"inside"}},
		{"id":"fast","name":"Too fast","when":{"type":"threshold","field":"speed","above":20}}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		code              int
		stdin, args, says string
	}{
		{0, `{"id":"depot","geometry":{"type":"circle","center":[2,48],"radius":500}}`, "fences create -", `"radius":500`},
		{0, "", "fences list", "depot"},
		{0, "", "rules create " + file, `"id":"fast"`},
		{1, "", "rules create " + file, "number 1 of 2: the gateway refuses"},
		{2, "{", "rules create -", "is no JSON"},
		{2, "", "rules create /nowhere", "file"},
		{0, "", "rules list", "Too fast"},
		{0, "", "rules update fast {\"disabled\":true}", `"disabled":true`},
		{2, "", "rules update fast {", "is no JSON"},
		{0, "", "rules list", "(disabled)"},
		{0, "", "rules show in", `"fence":"depot"`},
		{0, "", "fences delete depot", "depot is gone"},
		{0, "", "rules list", "is not there"},
		{0, "", "rules delete in", "in is gone"},
		{1, "", "rules show in", "there is no such rule"},
		{0, "", "alerts list --state open", ""},
		{1, "", "alerts acknowledge none", "there is no such alert"},
		{1, `{"url":"https://127.0.0.1/"}`, "webhooks create -", "is no public address"},
		{0, `{"id":"pager","url":"https://hooks.example.org/x"}`, "webhooks create -", "whsec_"},
		{0, "", "webhooks list", "hooks.example.org"},
	} {
		if out := c.run(step.code, step.stdin, strings.Fields(step.args)...); !strings.Contains(out, step.says) {
			t.Errorf("%s: %s, want %s", step.args, out, step.says)
		}
	}
}
