//go:build !linux

package app

import "errors"

var errNoMount = errors.New("not on Linux")

func mountSmall(string) error { return errNoMount }
func unmount(string) error    { return errNoMount }
