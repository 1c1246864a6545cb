package fleet

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"syscall"
)

// spareFiles are the open files that a process needs besides its connections.
const spareFiles = 64

// Preflight tells what this machine lacks for so many connections to a broker, one sentence a lack. It is empty where
// nothing is known to be missing.
func Preflight(connections int, broker string, sources ...netip.Addr) []string {
	var lacks []string
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil {
		lacks = append(lacks, lackOfFiles(connections, limit.Cur)...)
	}
	if text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		lacks = append(lacks, lackOfPorts(connections, broker, string(text), len(sources))...)
	}
	return lacks
}

func lackOfFiles(connections int, limit uint64) []string {
	if need := uint64(connections + spareFiles); limit < need {
		return []string{fmt.Sprintf("%d connections need %d open files and %d are allowed; run: ulimit -n %d", connections, need, limit, need)}
	}
	return nil
}

func lackOfPorts(connections int, broker, portRange string, sources int) []string {
	var low, high int
	if _, err := fmt.Sscan(strings.TrimSpace(portRange), &low, &high); err != nil {
		return nil // a kernel that says it otherwise: nothing is known to be missing
	}
	perAddress, ports := connections, high-low+1
	if sources > 0 {
		perAddress = (connections + sources - 1) / sources
	} else if sourceAddress(broker, 0, connections) != nil {
		perAddress = min(connections, sourceAddressDevices)
	}
	if perAddress > ports {
		return []string{fmt.Sprintf("%d connections leave from one address, which has %d ports; name more with --source, or run: sysctl -w net.ipv4.ip_local_port_range='1024 65535'", perAddress, ports)}
	}
	return nil
}
