package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// accessFlags say what devices show to a broker, and how they reach it.
type accessFlags struct {
	Username    string `help:"MQTT user name; the device's id where only a password is given."`
	Password    string `help:"MQTT password." env:"FLEETCAST_SIMULATOR_PASSWORD"`
	Credentials string `help:"A CSV file of username,password and perhaps fleet, or the JSON of gateway devices create: a device a line." type:"existingfile"`
	TLSCA       string `name:"tls-ca" help:"Certificates that mqtts:// trusts besides the system's." type:"existingfile"`
	TLSCert     string `name:"tls-cert" help:"Certificate that devices show." type:"existingfile"`
	TLSKey      string `name:"tls-key" help:"Its key." type:"existingfile"`
	TLSInsecure bool   `name:"tls-insecure" help:"Trust any certificate: for a machine of one's own."`
}

// config is nil where plain TCP is spoken, or the system's certificates will do.
func (f *accessFlags) config() (*tls.Config, error) {
	if f.TLSCA == "" && f.TLSCert == "" && !f.TLSInsecure {
		return nil, nil //nolint:nilnil // there is none
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: f.TLSInsecure} //nolint:gosec // the user asked for it
	if f.TLSCA != "" {
		text, err := os.ReadFile(f.TLSCA)
		if err != nil {
			return nil, fmt.Errorf("read certificates: %w", err)
		}
		if c.RootCAs, err = x509.SystemCertPool(); err != nil {
			c.RootCAs = x509.NewCertPool()
		}
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("read certificates: %s holds none", f.TLSCA)
		}
	}
	if (f.TLSCert == "") != (f.TLSKey == "") {
		return nil, errors.New("read certificate: --tls-cert and --tls-key go together")
	}
	if f.TLSCert != "" {
		pair, err := tls.LoadX509KeyPair(f.TLSCert, f.TLSKey)
		if err != nil {
			return nil, fmt.Errorf("read certificate: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// outputFlags say what is told.
type outputFlags struct {
	JSON  bool `name:"json" help:"Write the summary as JSON."`
	Quiet bool `help:"No progress."`
}
