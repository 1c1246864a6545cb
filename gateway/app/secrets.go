package app

import (
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"
)

const (
	// secretTag marks settings that may hold a password: they are shown without it, and may be read from a file.
	secretTag = "secret"
	// secretFile begins a value that is in a file of its own, as systemd's credentials and the secrets of containers are.
	secretFile = "file:"
	// maxSecretBytes bounds such a file.
	maxSecretBytes = 64 << 10
)

// readSecrets replaces file:PATH by what is in the file, in every setting that may hold a secret. It returns the paths by
// the names of the settings.
func readSecrets(ctx *kong.Context, file *settingsFile) (map[string]string, error) {
	from := map[string]string{}
	for _, f := range ctx.Flags() {
		if !f.Tag.Has(secretTag) {
			continue
		}
		for _, value := range texts(f.Target) {
			path, ok := strings.CutPrefix(value.String(), secretFile)
			if !ok {
				continue
			}
			text, err := readSecret(path)
			if err != nil {
				return nil, fmt.Errorf("%s: read secret: %w", origin(ctx, file, f), err)
			}
			value.SetString(text)
			from[f.Name] = path
		}
	}
	return from, nil
}

// texts are the strings of a setting, which is one or a list of them.
func texts(v reflect.Value) []reflect.Value {
	if v.Kind() != reflect.Slice {
		return []reflect.Value{v}
	}
	all := make([]reflect.Value, v.Len())
	for i := range all {
		all[i] = v.Index(i)
	}
	return all
}

// Secret is a value that may stand in a file: file:PATH is what is in it.
func Secret(value string) (string, error) {
	path, ok := strings.CutPrefix(value, secretFile)
	if !ok {
		return value, nil
	}
	text, err := readSecret(path)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	return text, nil
}

func readSecret(path string) (string, error) {
	f, err := os.Open(path) //nolint:gosec // the path is the setting itself
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSecretBytes+1))
	if err != nil {
		return "", err
	}
	value := strings.TrimSpace(string(text)) // an editor's newline is no part of a secret
	switch {
	case len(text) > maxSecretBytes:
		return "", fmt.Errorf("%s is larger than %d bytes", path, maxSecretBytes)
	case value == "":
		return "", fmt.Errorf("%s is empty", path)
	}
	return value, nil
}

// redact hides what of a URL may be a secret: who asks, and the query, which may name another user.
func redact(url string) string {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		return "redacted"
	}
	rest, _, hadQuery := strings.Cut(rest, "?")
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		rest = "redacted" + rest[at:]
	}
	if hadQuery {
		rest += "?redacted"
	}
	return scheme + "://" + rest
}
