package app

import (
	"log/slog"
	"strings"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/gateway/certs"
)

// servesTLS tells whether the HTTP port speaks TLS itself.
func (o *Options) servesTLS() bool { return o.HTTP.Cert != "" }

// byHTTPS tells whether people come by https only: then cookies are for https, and browsers are told to stay with it.
func (o *Options) byHTTPS() bool {
	return o.servesTLS() || strings.HasPrefix(o.People.PublicURL, "https://")
}

// scheme is that of the HTTP port.
func (o *Options) scheme() string {
	if o.servesTLS() {
		return "https"
	}
	return "http"
}

func (o *Options) checkHTTPCerts() error {
	switch {
	case o.HTTP.Cert == "" && o.HTTP.Key != "":
		return devices.Errorf(devices.Invalid, "http-key", "is of no use without http-cert")
	case o.HTTP.Cert != "" && o.HTTP.Key == "":
		return devices.Errorf(devices.Invalid, "http-cert", "needs http-key")
	case o.servesTLS() && strings.HasPrefix(o.People.PublicURL, "http://"):
		return devices.Errorf(devices.Invalid, "public-url", "begins with http://, and http-cert has the address speak https")
	}
	return nil
}

// httpCerts are the certificate of the HTTP port; nil where it speaks no TLS.
func (o *Options) httpCerts(log *slog.Logger) (*certs.Files, error) {
	if !o.servesTLS() {
		return nil, nil
	}
	files, err := certs.New(certs.Options{
		Certificate: o.HTTP.Cert, Key: o.HTTP.Key, Protocols: []string{"h2", "http/1.1"},
		Bad: func() { log.Warn("the changed certificate of http-cert cannot be used; the one before stays in use") },
	})
	if err != nil {
		return nil, &devices.Error{Kind: devices.Invalid, Field: "http-cert", Detail: "cannot be used: " + err.Error()}
	}
	return files, nil
}
