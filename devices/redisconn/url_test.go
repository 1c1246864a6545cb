package redisconn

import (
	"reflect"
	"strings"
	"testing"
)

func TestURLsAreRead(t *testing.T) {
	for url, want := range map[string]Location{
		"redis://localhost":                {addrs: []string{"localhost:6379"}},
		"redis://10.0.0.1:7000/3":          {addrs: []string{"10.0.0.1:7000"}, db: 3},
		"rediss://user:p%40ss@[::1]:7000":  {tls: true, addrs: []string{"[::1]:7000"}, username: "user", password: "p@ss"},
		"redis://:secret@[fe80::1]":        {addrs: []string{"[fe80::1]:6379"}, password: "secret"},
		"redis+cluster://a:1,b,c:3":        {Topology: Cluster, addrs: []string{"a:1", "b:6379", "c:3"}},
		"rediss+cluster://u:p@a:1":         {Topology: Cluster, tls: true, addrs: []string{"a:1"}, username: "u", password: "p"},
		"redis+sentinel://a,b:1/main?db=2": {Topology: Sentinel, addrs: []string{"a:26379", "b:1"}, master: "main", db: 2},
		"redis+sentinel://u:p@a/m?sentinel_password=s&sentinel_username=x": {
			Topology: Sentinel, addrs: []string{"a:26379"}, master: "m", username: "u", password: "p", sentinelUsername: "x", sentinelPassword: "s",
		},
	} {
		got, err := ParseURL(url)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s is read as %+v, %v", url, got, err)
		}
	}
}

func TestURLsThatCannotBeReadGiveNothingAway(t *testing.T) {
	for _, url := range []string{
		"", "localhost:6379", "http://sesame@host", "redis://", "redis://a,b", "redis://u:sesame@", "redis://u:sesa%zzme@host",
		"redis://u:sesame@host:port", "redis://u:sesame@host:70000", "redis://u:sesame@host/x", "redis://u:sesame@host/-1",
		"redis://host?password=sesame", "redis://host?sesame=1", "redis+sentinel://u:sesame@host", "redis+sentinel://host/a/b",
		"redis+cluster://u:sesame@host/1", "redis://u:ses/ame@host", "redis://host:1:2", "redis://host#sesame", "redis://[host]", "redis://a b",
	} {
		_, err := ParseURL(url)
		if err == nil {
			t.Errorf("%q is taken", url)
		} else if strings.Contains(err.Error(), "sesa") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	f.Add("redis+sentinel://u:p@a:1,b/m?db=2")
	f.Add("redis://[::1]:6379/0")
	f.Add("rediss+cluster://a:1,b:2,")
	f.Fuzz(func(t *testing.T, s string) {
		l, err := ParseURL(s)
		if err == nil && (len(l.addrs) == 0 || l.Topology == Standalone && len(l.addrs) != 1 || l.Topology == Sentinel && l.master == "") {
			t.Fatalf("%q is read as %+v", s, l)
		}
	})
}
