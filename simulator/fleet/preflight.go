package fleet

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
)

// spareFiles are the open files that a process needs besides what it says that it opens.
const spareFiles = 64

// Way is connections that this process opens to one destination. Each is an open file.
type Way struct {
	To          string // host:port, or whatever names the destination
	Connections int
	// Sources are the addresses that they leave from, in turn; where there are none, it is the kernel's choice.
	Sources []netip.Addr
	// Spread says that they leave from several addresses of loopback, as those of a large fleet do by themselves.
	Spread bool
}

// Preflight tells what this machine lacks for connections, and for so many open files besides them, one sentence a lack. It is
// empty where nothing is known to be missing.
func Preflight(files int, ways ...Way) []string {
	var lacks []string
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil {
		lacks = append(lacks, lackOfFiles(files, ways, limit.Cur)...)
	}
	if text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		lacks = append(lacks, lackOfPorts(ways, string(text))...)
	}
	if own, err := net.InterfaceAddrs(); err == nil {
		lacks = append(lacks, lackOfAddresses(ways, own)...)
	}
	return lacks
}

// lackOfAddresses finds sources that are not this machine's. All of the networks of loopback are.
func lackOfAddresses(ways []Way, own []net.Addr) []string {
	var foreign []string
	for i := range ways {
		for _, source := range ways[i].Sources {
			isOwn := source.IsLoopback() || slices.ContainsFunc(own, func(a net.Addr) bool {
				prefix, err := netip.ParsePrefix(a.String())
				return err == nil && prefix.Addr().Unmap() == source.Unmap()
			})
			if text := source.String(); !isOwn && !slices.Contains(foreign, text) {
				foreign = append(foreign, text)
			}
		}
	}
	if len(foreign) == 0 {
		return nil
	}
	more := ""
	if len(foreign) > 1 {
		more = fmt.Sprintf(" and %d more", len(foreign)-1)
	}
	return []string{fmt.Sprintf("%s%s to connect from: no address of this machine; run: ip address add %s dev eth0, with the name of its network's device", foreign[0], more, foreign[0])}
}

// Holds tells what a program lacks that is started here and to which so many connections are made: it may open as many files as
// we may.
func Holds(name string, connections int) []string {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return nil
	}
	return lackOfHolding(name, connections, limit.Max)
}

func lackOfHolding(name string, connections int, limit uint64) []string {
	if need := uint64(connections + spareFiles); limit < need {
		return []string{fmt.Sprintf("%d connections to %s need %d open files there and %d are allowed; run: ulimit -Hn %d", connections, name, need, limit, need)}
	}
	return nil
}

func lackOfFiles(files int, ways []Way, limit uint64) []string {
	connections := 0
	for i := range ways {
		connections += ways[i].Connections
	}
	if need := uint64(connections + files + spareFiles); limit < need {
		return []string{fmt.Sprintf("%d connections need %d open files and %d are allowed; run: ulimit -n %d", connections, need, limit, need)}
	}
	return nil
}

// lackOfPorts counts by destination and by source: a port of an address may be used again for another destination.
func lackOfPorts(ways []Way, portRange string) []string {
	var low, high int
	if _, err := fmt.Sscan(strings.TrimSpace(portRange), &low, &high); err != nil {
		return nil // a kernel that says it otherwise: nothing is known to be missing
	}
	type pair struct{ from, to string }
	used := map[pair]int{}
	for i := range ways {
		to := strings.Replace(ways[i].To, "localhost:", "127.0.0.1:", 1)
		for from, n := range ways[i].leave() {
			used[pair{from, to}] += n
		}
	}
	worst := map[string]int{}
	for p, n := range used {
		worst[p.to] = max(worst[p.to], n)
	}
	var lacks []string
	for to, n := range worst {
		if ports := high - low + 1; n > ports {
			lacks = append(lacks, fmt.Sprintf("%d connections to %s leave from one address, which has %d ports; name more with --source, or run: sysctl -w net.ipv4.ip_local_port_range='1024 65535'", n, to, ports))
		}
	}
	slices.Sort(lacks)
	return lacks
}

// leave says how many leave from which address; "" is the kernel's choice.
func (w *Way) leave() map[string]int {
	from := map[string]int{}
	switch n := len(w.Sources); {
	case n > 0:
		for i, source := range w.Sources {
			from[source.String()] += (w.Connections + n - 1 - i) / n
		}
	case w.Spread && sourceAddress(w.To, 0, w.Connections) != nil:
		for i := 0; i < w.Connections; i += sourceAddressDevices {
			from[sourceAddress(w.To, i, w.Connections).(*net.TCPAddr).IP.String()] = min(sourceAddressDevices, w.Connections-i)
		}
	default:
		from[""] = w.Connections
	}
	return from
}

// Ways are the connections that the fleet opens at the most, if none is taken over.
func (o *Options) Ways() []Way {
	return []Way{{To: cmp.Or(strings.TrimPrefix(strings.TrimPrefix(o.MQTT, "mqtts://"), "mqtt://"), "?"), Connections: o.Devices, Sources: o.Sources, Spread: true}}
}
