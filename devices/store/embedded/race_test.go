//go:build race

package embedded

const checked = true // pointers, by the race detector
