package mqttin

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// clientIDFile holds the random half of a client id.
const clientIDFile = "mqtt-client-id"

// StableClientID returns a client id for UpstreamOptions that stays the same as long as the host's name and the file in
// the directory do, and makes the file where it is missing. Two doors need two directories. In a container whose disk is
// not kept, configure an id instead.
func StableClientID(directory string) (string, error) {
	path := filepath.Join(directory, clientIDFile)
	stored, err := os.ReadFile(path) //nolint:gosec // the directory is the operator's
	if errors.Is(err, fs.ErrNotExist) {
		stored, err = storeClientID(directory, path)
	}
	if err != nil {
		return "", fmt.Errorf("read mqtt client id: %w", err)
	}
	suffix := strings.TrimSpace(string(stored))
	if _, err := hex.DecodeString(suffix); err != nil || suffix == "" || len(suffix) > 64 {
		return "", fmt.Errorf("read mqtt client id: %s holds none", clientIDFile)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "host"
	}
	return "fleetcast-" + plainName(host) + "-" + suffix, nil
}

// storeClientID writes a new file whole or not at all: half an id after a crash would be a new session.
func storeClientID(directory, path string) ([]byte, error) {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	text := []byte(hex.EncodeToString(b[:]) + "\n")
	temporary, err := os.CreateTemp(directory, clientIDFile+"-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(temporary.Name()) }() // gone already where all went well
	_, err = temporary.Write(text)
	err = errors.Join(err, temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	return text, err
}

// plainName keeps of a host's name what every broker takes in a client id (MQTT 5.0 section 3.1.3.1), and not too much.
func plainName(host string) string {
	plain := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '-' {
			return r
		}
		return -1
	}, host)
	return plain[:min(len(plain), 64)]
}
