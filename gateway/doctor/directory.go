package doctor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fleetcast/fleetcast/bridge/diskbus"
)

// littleSpace is a few snapshots and logs of a large fleet.
const littleSpace = 1 << 30

// directory looks whether what is kept can be kept there.
func directory(dir string, running bool) []Finding {
	const check = "data directory"
	info, err := os.Stat(dir)
	at := dir
	switch {
	case errors.Is(err, fs.ErrNotExist):
		at = existing(dir)
	case err != nil:
		return bad(Fail, check, "give the user of the gateway access to it", "%s cannot be looked at: %v", dir, err)
	case !info.IsDir():
		return bad(Fail, check, "choose another by --data-dir", "%s is not a directory", dir)
	}
	f, err := os.CreateTemp(at, ".doctor-*")
	if err != nil {
		return bad(Fail, check, "give it to the user of the gateway (`chown`), or name it in ReadWritePaths= of the unit", "nothing can be written into %s: %v", at, err)
	}
	_, err = f.WriteString("looked")
	if err = errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name())); err != nil {
		return bad(Fail, check, "make room, or replace the disk", "what is written into %s is not kept: %v", at, err)
	}
	if used := diskbus.InUse(dir); used && !running {
		return bad(Fail, check, "stop the other gateway, or choose another directory by --data-dir; one of Redis may be shared", "%s is in use by another process", dir)
	} else if used {
		return ok(check, "%s is in use, and a gateway answers here", dir)
	}
	if n, known := free(at); known && n < littleSpace {
		return bad(Warn, check, "make room: where it is full nothing is acknowledged", "%s has %d MiB left", dir, n>>20)
	} else if known {
		return ok(check, "%s can be written and has %d GiB left", dir, n>>30)
	}
	return ok(check, "%s can be written", dir)
}

// existing is the nearest directory above that is there, in which the missing ones would be made.
func existing(dir string) string {
	for {
		up := filepath.Dir(dir)
		if _, err := os.Stat(up); err == nil || up == dir {
			return up
		}
		dir = up
	}
}
