package doctor

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

// firstFreePort is the least that a process without privileges may bind, unless the kernel was told otherwise.
const firstFreePort = 1024

// runs tells whether a gateway answers at the address for operators. Then its ports and its directory are in use, as they should.
func runs(ctx context.Context, address string) bool {
	if address == "" {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/healthz", nil)
	if err != nil {
		return false
	}
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// port binds an address for a moment.
func port(ctx context.Context, p Port, running bool) []Finding {
	check := "port " + p.Setting
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", p.Address)
	if err == nil {
		_ = l.Close()
		return ok(check, "%s can be bound", p.Address)
	}
	_, number, _ := net.SplitHostPort(p.Address)
	n, _ := strconv.Atoi(number)
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && running:
		return ok(check, "%s is in use, and a gateway answers here", p.Address)
	case errors.Is(err, syscall.EADDRINUSE):
		return bad(Fail, check, "`ss -ltnp` names the process; stop it, or choose another port by --"+p.Setting, "%s is in use by another process", p.Address)
	case errors.Is(err, syscall.EACCES) && n < firstFreePort:
		return bad(Fail, check, "choose a port from 1024 on, or give the service AmbientCapabilities=CAP_NET_BIND_SERVICE", "%s may not be bound by this user", p.Address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return bad(Fail, check, "`ip address` lists this machine's; 0.0.0.0 or [::] is all of them", "%s is no address of this machine", p.Address)
	}
	return bad(Fail, check, "choose another address by --"+p.Setting, "%s cannot be bound: %v", p.Address, err)
}
