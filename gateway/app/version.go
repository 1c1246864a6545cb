package app

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Build is what the program was made of, as the Go toolchain recorded it.
type Build struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	// Time is the commit's, RFC 3339.
	Time string `json:"time,omitempty"`
	// Modified says that the program has more in it than the commit.
	Modified bool   `json:"modified"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// ReadBuild returns what is known of this program. One that was not built from a clone knows no commit.
func ReadBuild() Build {
	b := Build{Version: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		default: // how it was compiled
		}
	}
	return b
}

// String is the build in one line.
func (b Build) String() string {
	commit := b.Commit
	if commit == "" {
		commit = "unknown"
	}
	if b.Modified {
		commit += ", modified"
	}
	return fmt.Sprintf("%s (commit %s) %s %s", b.Version, commit, b.Go, b.Platform)
}

// Version is the module's version as the build recorded it.
func Version() string { return ReadBuild().Version }
