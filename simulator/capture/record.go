package capture

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/simulator/mqttlite"
)

const (
	keepAlive   = 30 * time.Second
	dialTimeout = 10 * time.Second
	// waiting is how many messages may wait to be written; one more is dropped and counted, since a broker that is not read
	// drops them as well and tells nobody.
	waiting = 65_536
	// flushEvery is how old a line may get before it is in the file.
	flushEvery = time.Second
)

// Broker is where to connect, and as whom.
type Broker struct {
	Address            string // host:port, mqtt://… or mqtts://…
	Username, Password string
	TLS                *tls.Config
}

// dial connects with a client id of its own.
func (b *Broker) dial(ctx context.Context, o mqttlite.Options) (*mqttlite.Client, error) {
	address, secure := strings.CutPrefix(b.Address, "mqtts://")
	address = strings.TrimSuffix(strings.TrimPrefix(address, "mqtt://"), "/")
	conn, err := (&net.Dialer{Timeout: dialTimeout, KeepAlive: -1}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("dial broker: %w", err)
	}
	if secure || b.TLS != nil {
		config := &tls.Config{MinVersion: tls.VersionTLS12}
		if b.TLS != nil {
			config = b.TLS.Clone()
		}
		if host, _, err := net.SplitHostPort(address); err == nil && config.ServerName == "" {
			config.ServerName = host
		}
		conn = tls.Client(conn, config)
	}
	o.ClientID, o.CleanStart, o.KeepAlive = fmt.Sprintf("simulator-%08x", rand.Uint32()), true, keepAlive
	o.Username = b.Username
	if b.Password != "" {
		o.Password = []byte(b.Password)
	}
	client, err := mqttlite.Connect(ctx, conn, o)
	if err != nil {
		return nil, fmt.Errorf("dial broker: %w", err)
	}
	return client, nil
}

// RecordOptions say what is kept.
type RecordOptions struct {
	Broker
	Filters []string
	QoS     byte
	// For is how long, and Count how many messages; 0 is until ctx ends.
	For   time.Duration
	Count int64
}

// Recorded is what a recording holds.
type Recorded struct {
	Messages int64   `json:"messages"`
	Bytes    int64   `json:"bytes"`
	Dropped  int64   `json:"dropped"` // since the file was slower than the broker
	Refused  int64   `json:"refused_filters"`
	Seconds  float64 `json:"seconds"`
}

// WriteText writes it for people.
func (r Recorded) WriteText(w io.Writer) error {
	_, err := fmt.Fprintf(w, "recorded %d messages (%d bytes of payload) in %.1f s; dropped %d\n", r.Messages, r.Bytes, r.Seconds, r.Dropped)
	if err != nil {
		return fmt.Errorf("write summary: %w", err)
	}
	return nil
}

var errFilter = errors.New("the broker refuses a filter")

// Record writes what a broker publishes until the time is over, there is enough, or ctx ends, none of which is an error.
func Record(ctx context.Context, o RecordOptions, to io.Writer) (out Recorded, err error) {
	if len(o.Filters) == 0 {
		o.Filters = []string{"#"}
	}
	if o.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.For)
		defer cancel()
	}
	began := time.Now()
	defer func() { out.Seconds = time.Since(began).Seconds() }()
	arrived := make(chan Line, waiting)
	var dropped, refused atomic.Int64
	client, err := o.dial(ctx, mqttlite.Options{
		MaxPacket: maxLine,
		OnMessage: func(m mqttlite.Message) {
			select {
			case arrived <- newLine(time.Now(), m.Topic, m.Payload, m.QoS, m.Retain):
			default:
				dropped.Add(1)
			}
		},
		OnSubscribed: func(_ uint16, codes []byte) {
			for _, c := range codes {
				if c >= 0x80 {
					refused.Add(1)
				}
			}
		},
	})
	if err != nil {
		return out, err
	}
	served := make(chan error, 1)
	go func() { // ends with the connection, which keep ends; it is waited for below
		served <- client.Serve()
		close(arrived)
	}()
	err = subscribe(client, &o)
	if err == nil {
		err = keep(ctx, arrived, to, o.Count, &out)
	}
	_ = client.Disconnect() // the end of Serve says what there is to say
	for range arrived {     // what came meanwhile is nobody's any more
	}
	err = errors.Join(err, <-served)
	out.Dropped, out.Refused = dropped.Load(), refused.Load()
	if out.Refused > 0 && out.Messages == 0 {
		err = errors.Join(err, errFilter)
	}
	return out, err
}

func subscribe(client *mqttlite.Client, o *RecordOptions) error {
	for _, filter := range o.Filters {
		if _, err := client.Subscribe(filter, o.QoS); err != nil {
			return fmt.Errorf("record: %w", err)
		}
	}
	return nil
}

// keep writes lines until ctx ends, the connection does, or there are enough.
func keep(ctx context.Context, arrived <-chan Line, to io.Writer, enough int64, out *Recorded) error {
	w := bufio.NewWriterSize(to, 256<<10)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for enough == 0 || out.Messages < enough {
		select {
		case <-ctx.Done():
			return flush(w)
		case <-tick.C:
			if err := flush(w); err != nil {
				return err
			}
		case l, ok := <-arrived:
			if !ok {
				return flush(w)
			}
			if err := e.Encode(&l); err != nil {
				return fmt.Errorf("write recording: %w", err)
			}
			out.Messages++
			out.Bytes += int64(len(l.Payload) + len(l.Base64)*3/4)
		}
	}
	return flush(w)
}

func flush(w *bufio.Writer) error {
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write recording: %w", err)
	}
	return nil
}
