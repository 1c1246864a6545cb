//go:build !race

package mqttin

const raceEnabled = false
