//go:build !linux

package doctor

import "context"

// What is asked of the kernel is asked of Linux only.

func files(int) []Finding { return nil }

func memory(context.Context) []Finding { return nil }

func clock(context.Context) []Finding { return nil }

func free(string) (bytes uint64, known bool) { return 0, false }
