package main

import (
	"bytes"
	"errors"
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
	folder := t.TempDir()
	for args, want := range map[string]int{
		"run nonexistent": 2, "run": 2, "scenarios nonexistent": 1, "run tunnel --mqtt 127.0.0.1:1": 2, "run tunnel --small --gateway /nonexistent": 1, "run tunnel --header nonsense": 2, "run tunnel --for -1s": 2, "suite --only nonexistent --out " + folder: 2, "suite --only tunnel --small --gateway /nonexistent --out " + folder: 1, "watch --header nonsense": 2, "prove --header nonsense --url http://127.0.0.1:1": 2,
	} {
		errs.Reset()
		if code := run(strings.Fields(args), &out, &errs); code != want {
			t.Errorf("%s: exit code %d, want %d: %s", args, code, want, errs.String())
		}
	}
}

func TestASuiteEndsWithTheWorstOfItsScenarios(t *testing.T) {
	order := []error{nil, codedError{errors.New("slow"), exitThreshold}, codedError{errors.New("broken"), exitBreached}, codedError{errors.New("empty"), exitNothing}, errors.New("not run")}
	for i := 1; i < len(order); i++ {
		if severity(order[i]) <= severity(order[i-1]) {
			t.Errorf("%v is no worse than %v", order[i], order[i-1])
		}
	}
}
