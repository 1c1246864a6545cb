package child

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Dir is a temporary folder of a program. It is locked for as long as this process lives, which tells others that its owner
// does, however it ends.
type Dir struct {
	path string
	held *os.File
}

var errNotOurs = errors.New("it is somebody else's")

// Place is where all temporary folders are: one for each user, in the system's folder for such things.
func Place() string {
	return filepath.Join(os.TempDir(), "fleetcast-simulator-"+strconv.Itoa(os.Getuid()))
}

// TempDir makes a folder whose name begins with one, and removes those in the same place whose owners are dead. It must be
// removed.
func TempDir(name string) (*Dir, error) {
	place := Place()
	if err := os.Mkdir(place, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("make temporary folder: %w", err)
	}
	info, err := os.Lstat(place) // anybody may have put a link there before
	if err != nil {
		return nil, fmt.Errorf("make temporary folder: %w", err)
	}
	if s, ok := info.Sys().(*syscall.Stat_t); !info.IsDir() || !ok || int(s.Uid) != os.Getuid() {
		return nil, fmt.Errorf("make temporary folder in %s: %w", place, errNotOurs)
	}
	// Held meanwhile: nobody removes a folder between its making and its lock.
	all, err := lock(place, syscall.LOCK_EX)
	if err != nil {
		return nil, fmt.Errorf("make temporary folder: %w", err)
	}
	defer all.Close()
	clean(place)
	path, err := os.MkdirTemp(place, name+"-")
	if err != nil {
		return nil, fmt.Errorf("make temporary folder: %w", err)
	}
	held, err := lock(path, syscall.LOCK_EX|syscall.LOCK_NB)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make temporary folder: %w", err), os.RemoveAll(path))
	}
	return &Dir{path: path, held: held}, nil
}

// lock opens a folder and locks it until it is closed. What we start does not inherit it.
func lock(path string, how int) (*os.File, error) {
	f, err := os.Open(path) //nolint:gosec // in a folder of our own
	if err != nil {
		return nil, fmt.Errorf("lock folder: %w", err)
	}
	for {
		err := syscall.Flock(int(f.Fd()), how)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("lock folder: %w", err), f.Close())
		}
		return f, nil
	}
}

// clean removes what nobody holds. What cannot be removed stays: it keeps nobody from working.
func clean(place string) {
	entries, _ := os.ReadDir(place)
	for _, e := range entries {
		path := filepath.Join(place, e.Name())
		held, err := lock(path, syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil {
			continue // its owner lives
		}
		_ = os.RemoveAll(path)
		_ = held.Close()
	}
}

// Path is the folder's.
func (d *Dir) Path() string { return d.path }

// Remove removes it with all that is in it. It may be called twice, and of nil.
func (d *Dir) Remove() error {
	if d == nil || d.held == nil {
		return nil
	}
	err := errors.Join(os.RemoveAll(d.path), d.held.Close())
	d.held = nil
	if err != nil {
		return fmt.Errorf("remove temporary folder: %w", err)
	}
	return nil
}
