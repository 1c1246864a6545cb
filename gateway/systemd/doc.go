// Package systemd tells the service manager how the gateway is: ready, reloading, stopping, and alive (sd_notify). Where
// there is no service manager it does nothing.
//
// It refuses to own what alive and ready mean: the gateway says so. No message passes it.
package systemd
