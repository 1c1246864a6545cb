package diskbus

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// identify says which file this is: a copy is another one. The birth is part of it because a number of an inode is given
// out again; it is 0 on file systems that do not know it.
func identify(path string) (identity, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_INO|unix.STATX_BTIME, &st); err != nil {
		return identity{}, &os.PathError{Op: "statx", Path: path, Err: err}
	}
	id := identity{device: uint64(st.Dev_major)<<32 | uint64(st.Dev_minor), inode: st.Ino}
	if st.Mask&unix.STATX_BTIME != 0 {
		id.born = st.Btime.Sec*1e9 + int64(st.Btime.Nsec)
	}
	return id, nil
}

// bootID names this run of the kernel: it survives every crash of ours and no loss of power.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "" // unknown: it equals nothing
	}
	return strings.TrimSpace(string(b))
}
