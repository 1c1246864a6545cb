package scenario

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// release is a gateway of an earlier commit, which runs beside the one of this tree.
type release struct {
	name, commit string
	why          string // it is here
	build        func() (string, error)
}

// releases are what the mixture of releases is tried with, the oldest first. Nothing was released with a version yet, so they
// are the commits before those that changed what is kept or passes between processes. Another is a row here. Those before the
// first do not hold it: their bridges begin a device anew of which more is kept than they know, and their edges had a hole.
var releases = []*release{
	earlier("before commands", "52beea1^", "the log and Redis have no table of commands, and the inlet no entry of one"),
	earlier("before traces", "de6382f^", "entries, batches and commands have no mark of a trace"),
	earlier("before fleets keep for so long", "116e2a7^", "the last change of what is stored of a fleet; it knows traces"),
}

// strangers are the releases that do not know what is traced.
var strangers = releases[:2]

func earlier(name, commit, why string) *release {
	r := &release{name: name, commit: commit, why: why}
	r.build = sync.OnceValues(r.compile)
	return r
}

// errNoHistory says that the earlier commits are not here.
var errNoHistory = errors.New("the history of the repository is needed")

// compile builds the gateway of the commit from what git has, in a folder of its own: the tree is not touched.
func (r *release) compile() (string, error) {
	ctx, root := context.Background(), filepath.Join("..", "..")
	if out, err := exec.CommandContext(ctx, "git", "-C", root, "rev-parse", "--verify", "--quiet", r.commit+"^{commit}").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: git finds no %s here (%w%s). A tarball and a shallow clone have no earlier commits: clone the repository, or git fetch --unshallow",
			errNoHistory, r.commit, err, out)
	}
	dir, err := os.MkdirTemp(programs, "release-")
	if err != nil {
		return "", err
	}
	archive := dir + "/archive.tar"
	program := dir + "/gateway"
	for _, args := range [][]string{
		{"git", "-C", root, "archive", "--format=tar", "--output=" + archive, r.commit},
		{"mkdir", dir + "/tree"},
		{"tar", "-xf", archive, "-C", dir + "/tree"},
		{"go", "-C", dir + "/tree", "build", "-o", program, "./gateway"},
	} {
		if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("build the gateway of %s: %s: %w: %s", r.commit, strings.Join(args, " "), err, out)
		}
	}
	return program, os.RemoveAll(dir + "/tree")
}

// program builds the release once for all tests. Where git does not have it, the test is skipped and says why; under CI it
// fails.
func (r *release) program(t *testing.T) string {
	t.Helper()
	if !isSoak() {
		t.Skip("builds earlier releases: with FLEETCAST_SOAK=1 only (make soak)")
	}
	find(t, "git")
	t.Logf("%s is %s: %s", r.name, r.commit, r.why)
	path, err := r.build()
	if errors.Is(err, errNoHistory) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}
