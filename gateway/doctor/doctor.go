package doctor

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// Status is how grave a finding is.
type Status string

// The statuses: a gateway would start and run well, would run and not as well as it could, or would not start or not work.
const (
	OK   Status = "ok"
	Warn Status = "warn"
	Fail Status = "fail"
)

// Finding is what one look told.
type Finding struct {
	Check  string `json:"check"`            // what was looked at, such as "port http-listen"
	Status Status `json:"status"`           // ok, warn or fail
	Detail string `json:"detail"`           // what was found; no secret is in it
	Remedy string `json:"remedy,omitempty"` // what to do, where it is not ok
}

// Options are what a gateway would use. What is empty is not looked at.
type Options struct {
	Ports        []Port        // that it would bind
	Connections  int           // of devices that it is to hold; 0: as many as the limit of open files leaves
	Dir          string        // of what it keeps
	Redis        string        // URL
	Brokers      []Broker      // external ones
	Certificates []Certificate // of ports with TLS
	Health       string        // address at which a gateway that runs here answers /healthz
}

// Port is an address by the setting that names it.
type Port struct{ Setting, Address string }

// Broker is an external broker: HOST:PORT, and whether it speaks TLS.
type Broker struct {
	Address string
	TLS     bool
}

// Certificate is a pair of files by the setting that names the first.
type Certificate struct{ Setting, File, Key string }

// lookFor is how long one look may take: servers that do not answer in it are as good as away.
const lookFor = 5 * time.Second

// look is one thing to look at. What it finds is in its order.
type look func(ctx context.Context) []Finding

// Examine looks at everything, at once, and returns the findings in an order that does not change.
func Examine(ctx context.Context, o Options) []Finding {
	running := runs(ctx, o.Health)
	looks := []look{func(context.Context) []Finding { return files(o.Connections) }, memory, clock}
	for _, p := range o.Ports {
		looks = append(looks, func(ctx context.Context) []Finding { return port(ctx, p, running) })
	}
	if o.Dir != "" {
		looks = append(looks, func(context.Context) []Finding { return directory(o.Dir, running) })
	}
	for _, c := range o.Certificates {
		looks = append(looks, func(context.Context) []Finding { return certificate(c, time.Now()) })
	}
	if o.Redis != "" {
		looks = append(looks, func(ctx context.Context) []Finding { return redisServers(ctx, o.Redis) })
	}
	for _, b := range o.Brokers {
		looks = append(looks, func(ctx context.Context) []Finding { return broker(ctx, b) })
	}
	found := make([][]Finding, len(looks))
	var wg sync.WaitGroup
	for i, l := range looks {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, lookFor)
			defer cancel()
			found[i] = l(ctx)
		})
	}
	wg.Wait()
	return slices.Concat(found...)
}

// Worst is the gravest status among findings; OK where there are none.
func Worst(findings []Finding) Status {
	grave := []Status{OK, Warn, Fail}
	worst := slices.MaxFunc(append([]Finding{{Status: OK}}, findings...), func(a, b Finding) int {
		return cmp.Compare(slices.Index(grave, a.Status), slices.Index(grave, b.Status))
	})
	return worst.Status
}

// Write says the findings for people, a line each, and what to do under it.
func Write(w io.Writer, findings []Finding) error {
	for _, f := range findings {
		if _, err := fmt.Fprintf(w, "%-4s  %-22s %s\n", f.Status, f.Check, f.Detail); err != nil {
			return err
		}
		if f.Remedy != "" {
			if _, err := fmt.Fprintf(w, "      %-22s   to do: %s\n", "", f.Remedy); err != nil {
				return err
			}
		}
	}
	return nil
}

func ok(check, format string, args ...any) []Finding {
	return []Finding{{Check: check, Status: OK, Detail: fmt.Sprintf(format, args...)}}
}

// bad is a finding of a status, with what to do.
func bad(s Status, check, remedy, format string, args ...any) []Finding {
	return []Finding{{Check: check, Status: s, Detail: fmt.Sprintf(format, args...), Remedy: remedy}}
}
