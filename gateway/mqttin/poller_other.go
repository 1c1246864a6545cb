//go:build !linux

package mqttin

import (
	"context"
	"net"
)

// poller watches connections where there is epoll. Elsewhere each has a goroutine.
type poller struct{}

func newPoller(*Broker) *poller { return &poller{} }

func watchable(nc net.Conn, _ *port) net.Conn { return nc }

func (*poller) start() error { return nil }

func (*poller) stop(context.Context) {}

func (*poller) hearOut(*conn) {}

func (*poller) adopt(*conn) bool { return false }
