package mqttin

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
)

// clientConfig is what paho is told. Handlers stand here because those that are added later vanish with the connection.
func (u *Upstream) clientConfig(life context.Context) autopaho.ClientConfig {
	return autopaho.ClientConfig{
		ServerUrls:                    u.urls,
		KeepAlive:                     uint16(u.options.KeepAlive / time.Second),
		CleanStartOnInitialConnection: false,
		SessionExpiryInterval:         uint32(u.options.SessionExpiry / time.Second),
		ReconnectBackoff:              func(int) time.Duration { return u.pause() },
		ConnectTimeout:                connectTimeout,
		AttemptConnection: func(ctx context.Context, _ autopaho.ClientConfig, to *url.URL) (net.Conn, error) {
			return u.dial(ctx, to)
		},
		ConnectPacketBuilder: u.connectPacket,
		OnConnectError:       u.onConnectError,
		OnConnectionDown:     u.onDown,
		OnConnectionUp: func(m *autopaho.ConnectionManager, ack *paho.Connack) {
			u.onUp(ack)
			u.subscribing.Go(func() { u.subscribe(life, m) })
		},
		ClientConfig: paho.ClientConfig{
			ClientID:                   u.options.ClientID,
			EnableManualAcknowledgment: true,
			SendAcksInterval:           sendAcks,
			OnPublishReceived:          []func(paho.PublishReceived) (bool, error){u.onPublish},
			OnServerDisconnect: func(d *paho.Disconnect) {
				u.note(UpstreamLost, disconnectText(d.ReasonCode))
			},
			OnClientError: func(err error) { u.note(UpstreamLost, lossText(err)) },
		},
	}
}

// connectPacket adds what paho has no setting for. Without a Receive Maximum paho takes memory for 65,535 messages, and
// the broker sends them.
func (u *Upstream) connectPacket(p *paho.Connect, to *url.URL) (*paho.Connect, error) {
	if p.Properties == nil {
		p.Properties = &paho.ConnectProperties{}
	}
	receive, largest := uint16(u.options.ReceiveMaximum), uint32(u.limits.PacketBytes)
	p.Properties.ReceiveMaximum, p.Properties.MaximumPacketSize = &receive, &largest
	if e := u.endpoints[to]; e.user != "" || len(e.password) > 0 {
		p.UsernameFlag, p.Username = true, e.user
		p.PasswordFlag, p.Password = len(e.password) > 0, e.password
	}
	return p, nil
}

// pause is how long to wait before the next attempt: none before the first, then twice as long after each that failed or
// did not last, each time a random part less, so that doors do not come back together.
func (u *Upstream) pause() time.Duration {
	if !u.upSince.IsZero() && time.Since(u.upSince) >= stood {
		u.failures = 0
	}
	u.upSince = time.Time{}
	u.failures++
	if u.failures == 1 {
		if !u.wasUp {
			return 0
		}
		return rand.N(u.options.RetryFirst)
	}
	most := min(u.options.RetryFirst<<min(u.failures-2, 20), u.options.RetryMost)
	if most <= 0 { // shifted out
		most = u.options.RetryMost
	}
	return most/2 + rand.N(most/2+1)
}

func (u *Upstream) onUp(ack *paho.Connack) {
	first := !u.wasUp
	u.upSince, u.wasUp = time.Now(), true
	u.mu.Lock()
	u.isUp, u.problem = true, "is not subscribed yet"
	host := ""
	if u.conn != nil {
		host = u.conn.host
		u.conn.start()
	}
	u.mu.Unlock()
	u.log.Info("mqtt upstream connected", "host", host, "client_id", u.options.ClientID, "session_present", ack.SessionPresent)
	if !ack.SessionPresent && !first {
		// Whatever was published in between, and not acknowledged before, is not coming.
		u.note(UpstreamSessionLost, "the broker has no session of ours any more: messages may be lost")
	}
}

func (u *Upstream) onDown() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.isUp, u.subscribed, u.problem = false, false, "lost the connection"
	return true
}

func (u *Upstream) onConnectError(err error) {
	reason, text := connectProblem(err)
	u.mu.Lock()
	u.problem = text
	u.mu.Unlock()
	u.note(reason, text)
}

// subscribe subscribes on a new connection, every time: the broker may have no session. Where that fails, the connection
// is ended, so that it is tried again at the pace of connections.
func (u *Upstream) subscribe(ctx context.Context, m *autopaho.ConnectionManager) {
	u.mu.Lock()
	conn := u.conn
	u.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	ack, err := m.Subscribe(ctx, &paho.Subscribe{Subscriptions: u.subscriptions})
	u.mu.Lock()
	isCurrent := conn == u.conn && u.isUp
	if isCurrent {
		u.subscribed = err == nil
		u.problem = ""
	}
	if isCurrent && err != nil {
		u.problem = subscribeProblem(ack)
	}
	problem := u.problem
	u.mu.Unlock()
	switch {
	case !isCurrent || ctx.Err() != nil && u.stopping.Load():
	case err != nil:
		u.note(UpstreamNotSubscribed, problem)
		_ = conn.Close()
	default:
		u.checkGranted(ack)
	}
}

// checkGranted tells of a broker that grants less than QoS 1.
func (u *Upstream) checkGranted(ack *paho.Suback) {
	for i, code := range ack.Reasons {
		if code < upstreamQoS && i < len(u.subscriptions) {
			u.log.Warn("mqtt upstream grants no acknowledged delivery", "filter", u.subscriptions[i].Topic, "granted_qos", code)
		}
	}
}

// note counts what happened to the connection and, rarely, writes a line.
func (u *Upstream) note(r Reason, text string) {
	if u.stopping.Load() {
		return
	}
	if total, say := u.counters.count(r); say {
		u.log.Warn("mqtt upstream has a problem", "reason", r.String(), "detail", text, "hosts", u.hosts(), "total", total)
	}
}

func (u *Upstream) hosts() []string {
	hosts := make([]string, 0, len(u.urls))
	for _, each := range u.urls {
		hosts = append(hosts, each.Host)
	}
	return hosts
}

// connectProblem puts an error into words that hold nothing of what the broker wrote.
func connectProblem(err error) (Reason, string) {
	if refused, ok := errors.AsType[*autopaho.ConnackError](err); ok {
		return UpstreamRefused, "the broker refused the connection: " + connackText(refused.ReasonCode)
	}
	if failed, ok := errors.AsType[*dialError](err); ok {
		return UpstreamUnreachable, "the broker cannot be reached: " + failed.err.Error()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return UpstreamUnreachable, "the broker did not answer in time"
	}
	return UpstreamRefused, "the broker broke off before it accepted: is it one of MQTT 5?"
}

// Reason codes of a CONNACK (MQTT 5.0 section 3.2.2.2).
var connackTexts = map[byte]string{
	0x84: "it does not speak MQTT 5", 0x85: "the client id is not valid", 0x86: "bad user name or password",
	0x87: "not authorized", 0x88: "it is not available", 0x89: "it is busy", 0x8a: "we are banned",
	0x95: "our packet is too large", 0x97: "a quota is exceeded", 0x9c: "use another server", 0x9d: "the server has moved",
	0x9f: "too many connections at once",
}

func connackText(code byte) string {
	if text, ok := connackTexts[code]; ok {
		return text
	}
	return fmt.Sprintf("reason code %#02x", code)
}

func disconnectText(code byte) string {
	const takenOver = 0x8e // MQTT 5.0 section 3.14.2.1
	if code == takenOver {
		return "another client took the client id: two doors must not have the same"
	}
	return fmt.Sprintf("the broker ended the connection with reason code %#02x", code)
}

func subscribeProblem(ack *paho.Suback) string {
	if ack != nil {
		for _, code := range ack.Reasons {
			if code >= 0x80 {
				return fmt.Sprintf("the broker refused a subscription with reason code %#02x", code)
			}
		}
	}
	return "the broker did not take the subscription: does it have shared subscriptions and wildcards?"
}

// lossText tells how a connection ended, as far as paho says.
func lossText(err error) string {
	if netErr, ok := errors.AsType[net.Error](err); ok {
		return "lost the connection: " + netErr.Error()
	}
	if errors.Is(err, errPacketTooLarge) {
		return errPacketTooLarge.Error()
	}
	return "lost the connection"
}
