package browsertest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// keptBuilds is how many builds of the application stay in the cache.
const keptBuilds = 4

var building sync.Mutex

// BuildApp builds the application from its sources, as `make build` does, and returns a folder as sse/dashboard/dist is
// after it. A build is kept in the user's cache for as long as the sources stay as they are: several test processes share it.
func BuildApp(t testing.TB) string {
	t.Helper()
	building.Lock() // tests side by side want the same
	defer building.Unlock()
	source, packages := dashboardDir(t), Packages(t)
	names, err := appSources(source)
	if err != nil {
		t.Fatalf("list sources of the application: %v", err)
	}
	sum, err := hashOf(source, names)
	if err != nil {
		t.Fatalf("read sources of the application: %v", err)
	}
	out := filepath.Join(cacheDir(), "app-"+sum)
	if exists(out) {
		return out
	}
	work := workspaces(t)
	fresh, err := os.MkdirTemp(cacheDir(), "build-") //nolint:usetesting // on the disk of the cache, where it is then renamed to
	if err != nil {
		t.Fatalf("make folder of the build: %v", err)
	}
	defer func() { _ = os.RemoveAll(fresh) }()
	Node(t, work, "", "scripts/outlines.cjs", fresh)
	Node(t, filepath.Join(work, "app"), "", filepath.Join(packages, "vite", "bin", "vite.js"), "build", "--logLevel", "warn",
		"--emptyOutDir", "--outDir", filepath.Join(fresh, "app"))
	if err := os.Rename(fresh, out); err != nil && !exists(out) {
		t.Fatalf("keep the build: %v", err)
	}
	forgetBuilds(out)
	return out
}

// Workspace copies the application and the client package into a folder where their modules find their packages, and
// returns that of one of them by name: the source tree stays clean.
func Workspace(t testing.TB, name string) string {
	t.Helper()
	return filepath.Join(workspaces(t), name)
}

func workspaces(t testing.TB) string {
	t.Helper()
	source, packages := dashboardDir(t), Packages(t)
	work := t.TempDir()
	names, err := appSources(source)
	if err != nil {
		t.Fatalf("list sources of the application: %v", err)
	}
	for _, name := range names {
		if err := copyFile(source, work, name); err != nil {
			t.Fatalf("copy sources of the application: %v", err)
		}
	}
	if err := os.Symlink(packages, filepath.Join(work, "node_modules")); err != nil {
		t.Fatalf("link packages: %v", err)
	}
	return work
}

// appSources are the files that a build depends on.
func appSources(source string) ([]string, error) {
	names := slices.Clone(packageFiles[:3])
	for _, folder := range []string{"app", "client", "scripts"} {
		err := filepath.WalkDir(filepath.Join(source, folder), func(path string, entry fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			if entry.IsDir() {
				if name := entry.Name(); name == "node_modules" || name == "dist" || strings.HasPrefix(name, ".") {
					return filepath.SkipDir
				}
				return nil
			}
			name, err := filepath.Rel(source, path)
			if entry.Type().IsRegular() {
				names = append(names, name)
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("walk %s: %w", folder, err)
		}
	}
	return names, nil
}

// forgetBuilds removes the oldest of the kept builds, all but the newest few.
func forgetBuilds(newest string) {
	builds, err := filepath.Glob(filepath.Join(filepath.Dir(newest), "app-*"))
	if err != nil || len(builds) <= keptBuilds {
		return
	}
	age := func(path string) int64 {
		info, err := os.Stat(path)
		if err != nil {
			return 0
		}
		return info.ModTime().UnixNano()
	}
	slices.SortFunc(builds, func(a, b string) int { return int((age(a) - age(b)) / 1_000_000_000) })
	for _, build := range builds[:len(builds)-keptBuilds] {
		if build != newest {
			_ = os.RemoveAll(build)
		}
	}
}
