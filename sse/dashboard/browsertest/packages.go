package browsertest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// installTimeout bounds npm: a registry that does not answer must not hold a test for its whole time.
const installTimeout = 3 * time.Minute

// runTimeout bounds a run of Node: a build, or the tests of a package, on a machine that does other things.
const runTimeout = 3 * time.Minute

// Packages returns a node_modules folder with what sse/dashboard/package-lock.json names. It is installed once a machine
// and lock file, in the user's cache: the source tree stays clean and several test processes share it.
func Packages(t testing.TB) string {
	t.Helper()
	npm := find(t, "npm", "npm")
	source := dashboardDir(t)
	sum, err := hashOf(source, packageFiles)
	if err != nil {
		t.Fatalf("read packages: %v", err)
	}
	cache := filepath.Join(cacheDir(), sum)
	if err := install(npm, source, cache); err != nil {
		missing(t, "npm packages of tests cannot be installed: %v", err)
	}
	return filepath.Join(cache, "node_modules")
}

// packageFiles say what npm installs: the root's and those of its workspaces.
var packageFiles = []string{"package.json", "package-lock.json", ".npmrc", "app/package.json", "client/package.json"}

func cacheDir() string {
	home, err := os.UserCacheDir()
	if err != nil {
		home = os.TempDir() // no HOME, as in some containers
	}
	return filepath.Join(home, "fleetcast-test")
}

// hashOf names a state of files of a folder; those that are not there count as empty.
func hashOf(dir string, names []string) (string, error) {
	hash := sha256.New()
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		_, _ = fmt.Fprintf(hash, "%s %d\n%s", name, len(data), data)
	}
	return hex.EncodeToString(hash.Sum(nil)[:8]), nil
}

// install runs npm in a folder beside cache and renames it, so that cache is whole or not there. Test processes that run
// side by side may each install the first time; the first to finish wins and the others use its folder.
func install(npm, source, cache string) error {
	if exists(cache) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(cache), 0o755); err != nil {
		return fmt.Errorf("make cache: %w", err)
	}
	fresh, err := os.MkdirTemp(filepath.Dir(cache), "install-")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(fresh) }()
	for _, name := range packageFiles {
		if err := copyFile(source, fresh, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), installTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = fresh
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("run npm ci: %w: %.2000s", err, out)
	}
	if err := os.Rename(fresh, cache); err != nil && !exists(cache) {
		return fmt.Errorf("keep packages: %w", err)
	}
	return nil
}

func copyFile(from, to, name string) error {
	data, err := os.ReadFile(filepath.Join(from, name))
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if err := os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o755); err != nil {
		return fmt.Errorf("make folder of %s: %w", name, err)
	}
	if err := os.WriteFile(filepath.Join(to, name), data, 0o644); err != nil {
		return fmt.Errorf("copy %s: %w", name, err)
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Node runs a program with Node in a folder and returns what it printed; the test ends where it fails. Packages for it to
// require are looked for in nodePath, unless that is "".
func Node(t testing.TB, dir, nodePath string, args ...string) string {
	t.Helper()
	node := find(t, "Node", "node")
	ctx, cancel := context.WithTimeout(context.Background(), runTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "NODE_PATH="+nodePath)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("node %v: %v\n%.6000s", args, err, out)
	}
	return string(out)
}

// Outlines runs the build step that writes the outlines of the world, and returns the folder that holds them.
func Outlines(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	Node(t, dashboardDir(t), Packages(t), "scripts/outlines.cjs", dir)
	return dir
}

// dashboardDir is sse/dashboard in the source tree. A test runs in its package's folder, so the module's root is above.
func dashboardDir(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatalf("find source: %v", err)
	}
	for {
		if exists(filepath.Join(dir, "go.mod")) {
			return filepath.Join(dir, "sse", "dashboard")
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("find source: no go.mod above the test's folder")
		}
		dir = parent
	}
}
