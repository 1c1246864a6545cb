// Package diskbus is the embedded, durable bus.
package diskbus
