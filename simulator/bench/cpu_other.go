//go:build !linux

package bench

import "errors"

func cpuSeconds(int) (float64, error) { return 0, errors.ErrUnsupported }
