package play

import (
	"embed"
	"fmt"
	"path"
	"strings"
)

//go:embed scenarios/*.yaml
var bundled embed.FS

const bundledDir = "scenarios"

func bundledText(name string) ([]byte, error) {
	text, err := bundled.ReadFile(path.Join(bundledDir, name+".yaml"))
	if err != nil {
		return nil, fmt.Errorf("read scenario: %w", err)
	}
	return text, nil
}

// Bundled are the names of the scenarios that come with the program.
func Bundled() (all []string) {
	entries, err := bundled.ReadDir(bundledDir)
	if err != nil {
		return nil // cannot happen: it is part of the program
	}
	for _, e := range entries {
		all = append(all, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return all
}

// Text is the file of a bundled scenario, as a beginning of one's own.
func Text(name string) (string, error) {
	text, err := bundledText(name)
	return string(text), err
}
