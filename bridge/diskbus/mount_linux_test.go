package diskbus

import "syscall"

func mountSmall(dir string) error { return syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m") }
func growSmall(dir string) error {
	return syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=16m")
}
func unmount(dir string) error { return syscall.Unmount(dir, 0) }
