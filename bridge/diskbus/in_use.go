package diskbus

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// InUse tells whether another process has the directory. It changes nothing, and takes it from nobody for longer than a moment.
func InUse(dir string) bool {
	path := filepath.Join(dir, lockName)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return false // opening would make it
	}
	lock, err := lockDir(path)
	if err != nil {
		return errors.Is(err, ErrInUse)
	}
	_ = unlockDir(lock)
	return false
}
