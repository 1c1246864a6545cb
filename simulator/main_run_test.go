package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestScenariosAreListedShownAndExplained(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run([]string{"scenarios"}, &out, &errs); code != 0 || strings.Count(out.String(), "\n") < 6 || !strings.Contains(out.String(), "morning-start") {
		t.Errorf("exit code %d: %s%s", code, out.String(), errs.String())
	}
	out.Reset()
	if code := run([]string{"scenarios", "tunnel"}, &out, &errs); code != 0 || !strings.HasPrefix(out.String(), "name: tunnel") {
		t.Errorf("exit code %d: %s", code, out.String())
	}
	for args, want := range map[string]int{
		"run nonexistent": 2, "run": 2, "scenarios nonexistent": 1, "run tunnel --mqtt 127.0.0.1:1": 2, "run tunnel --small --gateway /nonexistent": 1, "run tunnel --header nonsense": 2, "watch --header nonsense": 2, "prove --header nonsense --url http://127.0.0.1:1": 2,
	} {
		errs.Reset()
		if code := run(strings.Fields(args), &out, &errs); code != want {
			t.Errorf("%s: exit code %d, want %d: %s", args, code, want, errs.String())
		}
	}
}
