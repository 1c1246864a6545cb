package registry

import (
	"crypto/x509"
	"slices"
	"strings"
)

// deviceURN begins a URI in a certificate that names a device: urn:fleetcast:device:truck-17.
const deviceURN = "urn:fleetcast:device:"

// certificateNames are the names that a verified client certificate speaks for, in the order in which they are tried
// where the client names none itself: URIs of ours, DNS names, the common name. Whether the chain is good was asked
// before; here it is only read.
func certificateNames(leaf *x509.Certificate) []string {
	var names []string
	add := func(name string) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, uri := range leaf.URIs {
		if name, ok := strings.CutPrefix(uri.String(), deviceURN); ok {
			add(name)
		}
	}
	for _, name := range leaf.DNSNames {
		add(name)
	}
	add(leaf.Subject.CommonName)
	return names
}
