//go:build !race

package embedded

const checked = false // pointers, by the race detector
