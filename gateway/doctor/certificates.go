package doctor

import (
	"crypto/tls"
	"time"
)

const (
	aDay = 24 * time.Hour
	soon = 14 * aDay // whatever renews certificates by itself has done it before
)

// certificate reads a pair as the gateway would.
func certificate(c Certificate, now time.Time) []Finding {
	check := "certificate " + c.Setting
	pair, err := tls.LoadX509KeyPair(c.File, c.Key)
	if err != nil {
		return bad(Fail, check, "name a PEM file with the certificate and its chain, and the key that belongs to it; the gateway's user must be able to read both", "cannot be used: %v", err)
	}
	const renew = "renew it; a changed file is used without a restart"
	switch leaf := pair.Leaf; {
	case now.Before(leaf.NotBefore):
		return bad(Fail, check, "set the clock, or wait", "is valid from %s on only", leaf.NotBefore.Format(time.DateOnly))
	case now.After(leaf.NotAfter):
		return bad(Fail, check, renew, "ended on %s", leaf.NotAfter.Format(time.DateOnly))
	case leaf.NotAfter.Sub(now) < soon:
		return bad(Warn, check, renew, "ends on %s, in %d days", leaf.NotAfter.Format(time.DateOnly), leaf.NotAfter.Sub(now)/aDay)
	default:
		return ok(check, "is valid until %s, for %s", leaf.NotAfter.Format(time.DateOnly), names(leaf.DNSNames, leaf.Subject.CommonName))
	}
}

// names are the first few of a certificate.
func names(dns []string, common string) string {
	switch {
	case len(dns) == 0:
		return common
	case len(dns) > 1:
		return dns[0] + " and others"
	}
	return dns[0]
}
