package dashboard_test

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"

	"github.com/fleetcast/fleetcast/sse/dashboard/browsertest"
)

// maxClientBytes is what the client package may weigh, minified and compressed, for whoever puts it into a page.
const maxClientBytes = 9 << 10

// The package's own tests: on a gateway, tabs and time of their own.
func TestModulesOfTheClientPackage(t *testing.T) {
	t.Parallel()
	dir := browsertest.Workspace(t, "client")
	modules := filepath.Join(filepath.Dir(dir), "node_modules")
	browsertest.Node(t, dir, "", filepath.Join(modules, "typescript", "bin", "tsc"), "--noEmit")
	browsertest.Node(t, dir, "", filepath.Join(modules, "vitest", "vitest.mjs"), "run", "--no-color")
}

func TestTheClientPackageIsSmall(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "client.js")
	browsertest.Node(t, "client", "", filepath.Join(browsertest.Packages(t), "esbuild", "bin", "esbuild"),
		"src/index.ts", "--bundle", "--minify", "--format=esm", "--log-level=warning", "--outfile="+out)
	code, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	zw := gzip.NewWriter(&packed)
	if _, err := zw.Write(code); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	if packed.Len() > maxClientBytes {
		t.Errorf("the client package is %d bytes compressed, more than %d", packed.Len(), maxClientBytes)
	}
}
