package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/report"
)

// accessFlags say what devices show to a broker, and how they reach it.
type accessFlags struct {
	Username    string `help:"MQTT user name; the device's id where only a password is given."`
	Password    string `help:"MQTT password." env:"FLEETCAST_SIMULATOR_PASSWORD" secret:"all"`
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

// headers reads what is written as name: value.
func headers(texts []string) (http.Header, error) {
	h := http.Header{}
	for _, text := range texts {
		name, value, found := strings.Cut(text, ":")
		if !found {
			return nil, codedError{fmt.Errorf("read header %q: it is written as name: value", name), 2}
		}
		h.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return h, nil
}

// shardFlags say which part of a run over several processes this one is.
type shardFlags struct {
	Shard *fleet.Shard `help:"The part that this process runs, of several: 2/5. simulator report merge adds their reports." placeholder:"2/5"`
	RunID string       `name:"run-id" help:"A name of the run in its report, the same for all shards." placeholder:"NAME"`
}

func (f *shardFlags) shard() fleet.Shard {
	if f.Shard == nil {
		return fleet.Shard{}
	}
	return *f.Shard
}

// run says of which run a report is; config is what decides what it does, on whichever machine.
func (f *shardFlags) run(seed uint64, config any) (report.Run, error) {
	digest, err := report.ConfigDigest(config)
	return report.Run{ID: f.RunID, Seed: seed, Config: digest, Shard: f.shard()}, err
}

// outputFlags say what is told, and where.
type outputFlags struct {
	JSON  bool `name:"json" help:"Write the summary as JSON."`
	Quiet bool `help:"No progress."`

	Report         string   `help:"Write the whole report as JSON to a file, for simulator compare-reports." placeholder:"FILE"`
	HTML           string   `name:"html" help:"Write it as one page with plots." placeholder:"FILE"`
	HGRM           string   `name:"hgrm" help:"Write a percentile file of each latency into a directory." placeholder:"DIR"`
	PrometheusFile string   `help:"Write the values in Prometheus's text format to a file." placeholder:"FILE"`
	Prometheus     string   `help:"Serve them at /metrics of an address while it runs." placeholder:"HOST:PORT"`
	Threshold      []string `help:"What has to be kept, repeatable: fresh_p99<250ms, silent_loss==0; simulator values lists the names. The exit code is 99 where one is not." sep:"none"`
}

// exitThreshold is what a run ends with that has not kept a threshold, as k6 does.
const exitThreshold = 99

// thresholds reads them; groups are the names that may stand before a value's.
func (f *outputFlags) thresholds(groups ...string) (all []report.Threshold, err error) {
	for _, text := range f.Threshold {
		t, err := report.ParseThreshold(text, groups)
		if err != nil {
			return nil, codedError{err, 2}
		}
		all = append(all, t)
	}
	return all, nil
}

// record runs something under a recorder, writes what the flags ask for, and returns what broke first: a threshold, or
// what run returned. tell writes the report for people or programs.
func (f *outputFlags) record(ctx context.Context, o report.Options, run func(context.Context) error, tell func() error) error {
	r, err := report.NewRecorder(o)
	if err != nil {
		return err
	}
	recording, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var running sync.WaitGroup
	running.Go(func() { r.Run(recording) })
	served := make(chan error, 1)
	if f.Prometheus != "" {
		running.Go(func() { served <- r.Serve(recording, f.Prometheus) })
	} else {
		served <- nil
	}
	runErr := run(ctx)
	stop()
	running.Wait()
	out := r.Report(nil, nil)
	errs := []error{runErr, <-served, tell(), f.write(out)}
	if err := out.Err(); err != nil {
		return codedError{errors.Join(append([]error{err}, errs...)...), exitThreshold}
	}
	return errors.Join(errs...)
}

func (f *outputFlags) write(out *report.Report) error {
	files := report.Files{JSON: f.Report, HTML: f.HTML, HGRM: f.HGRM, Prometheus: f.PrometheusFile}
	return files.Write(out)
}
