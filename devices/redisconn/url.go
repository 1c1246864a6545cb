package redisconn

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/fleetcast/fleetcast/devices"
)

// Topology is how the servers are found.
type Topology uint8

// The topologies.
const (
	Standalone Topology = iota
	Sentinel
	Cluster
)

// Location is what a URL says. It holds secrets: it is never logged, and no error has a part of it.
type Location struct {
	Topology Topology

	tls    bool
	addrs  []string
	master string // sentinel
	db     int

	username, password                 string
	sentinelUsername, sentinelPassword string
}

const (
	defaultPort         = "6379"
	defaultSentinelPort = "26379"
	maxAddrs            = 64
)

var schemes = map[string]Location{
	"redis":           {},
	"rediss":          {tls: true},
	"redis+sentinel":  {Topology: Sentinel},
	"rediss+sentinel": {Topology: Sentinel, tls: true},
	"redis+cluster":   {Topology: Cluster},
	"rediss+cluster":  {Topology: Cluster, tls: true},
}

// ParseURL reads one of
//
//	redis://user:password@host:port/db                 one server; rediss:// with TLS
//	redis+sentinel://user:password@host:port,…/master  the master that Sentinels name; ?db=, ?sentinel_username= and
//	                                                   ?sentinel_password= where they differ; rediss+sentinel://
//	redis+cluster://user:password@host:port,…          a Cluster, from some of its servers; rediss+cluster://
//
// User, password, port (6379, Sentinel 26379) and db (0) may be left out. The hosts are taken out before net/url sees the rest, since it knows
// one host only; its errors are not passed on, since they quote the URL and its password.
func ParseURL(s string) (Location, error) {
	scheme, rest, _ := strings.Cut(s, "://")
	l, known := schemes[strings.ToLower(scheme)]
	if !known {
		return l, badURL("begins with none of redis://, rediss://, redis+sentinel://, redis+cluster://")
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	at := strings.LastIndexByte(rest[:end], '@') + 1
	u, err := url.Parse("redis://" + rest[:at] + "host" + rest[end:])
	if err != nil || u.Fragment != "" {
		return l, badURL("cannot be read; escape what is special in its user and password")
	}
	if u.User != nil {
		l.username = u.User.Username()
		l.password, _ = u.User.Password()
	}
	if err := l.parseHosts(rest[at:end]); err != nil {
		return l, err
	}
	path := strings.Trim(u.Path, "/")
	if l.Topology == Sentinel {
		if path == "" || strings.Contains(path, "/") {
			return l, badURL("has no master's name in its path")
		}
		l.master, path = path, ""
	}
	return l, l.parseSettings(path, u.Query())
}

func badURL(detail string) error { return devices.Errorf(devices.Invalid, "redis url", "%s", detail) }

func (l *Location) parseHosts(list string) error {
	port := defaultPort
	if l.Topology == Sentinel {
		port = defaultSentinelPort
	}
	for host := range strings.SplitSeq(list, ",") {
		name, number := host, port
		if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
			name, number = host[:i], host[i+1:]
		}
		n, err := strconv.ParseUint(number, 10, 16)
		bare := strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
		if err != nil || n == 0 || bare == "" || strings.ContainsAny(bare, "[]@ ") {
			return badURL("has a host that cannot be read")
		}
		if strings.Contains(bare, ":") != (bare != name) { // an address with colons stands in brackets, and nothing else
			return badURL("has a host that cannot be read")
		}
		l.addrs = append(l.addrs, name+":"+number)
	}
	if len(l.addrs) > maxAddrs {
		return badURL("has too many hosts")
	}
	if l.Topology == Standalone && len(l.addrs) != 1 {
		return badURL("has several hosts; use redis+sentinel:// or redis+cluster://")
	}
	return nil
}

func (l *Location) parseSettings(db string, settings url.Values) error {
	for name, values := range settings {
		value := values[len(values)-1]
		switch {
		case name == "db":
			db = value
		case name == "sentinel_username" && l.Topology == Sentinel:
			l.sentinelUsername = value
		case name == "sentinel_password" && l.Topology == Sentinel:
			l.sentinelPassword = value
		default: // not named in the error: it may be a secret that was not escaped
			return badURL("has a setting that is not known")
		}
	}
	if db == "" {
		return nil
	}
	n, err := strconv.ParseUint(db, 10, 15)
	if err != nil {
		return badURL("has a database that is no number")
	}
	if l.Topology == Cluster && n != 0 {
		return badURL("names a database; a cluster has only 0")
	}
	l.db = int(n)
	return nil
}
