package baremqtt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
)

// What the gateway's door tells mochi, told again: the two are to differ in what they do with a message only.
const (
	writesPending = 16
	packetBytes   = 256 << 10
	unacked       = 256
	topicAliases  = 16
	expirySeconds = 3600
	readBuffer    = 1 << 10
	sysSeconds    = 3600 // each stops the world to count memory
)

// Server is the server. Listen and Run are called once, in this order.
type Server struct {
	address  string
	listener net.Listener
	server   *mqtt.Server
}

// New wires a server. It starts nothing.
func New(address string) (*Server, error) {
	caps := mqtt.NewDefaultServerCapabilities()
	caps.MaximumClientWritesPending = writesPending
	caps.MaximumPacketSize = packetBytes
	caps.ReceiveMaximum = unacked
	caps.MaximumInflight = unacked
	caps.TopicAliasMaximum = topicAliases
	caps.MaximumSessionExpiryInterval = expirySeconds
	caps.MaximumMessageExpiryInterval = expirySeconds
	caps.SharedSubAvailable = 0
	caps.Compatibilities.NoInheritedPropertiesOnAck = true
	s := &Server{address: address, server: mqtt.New(&mqtt.Options{
		Capabilities: caps, ClientNetReadBufferSize: readBuffer, SysTopicResendInterval: sysSeconds,
		Logger: slog.New(slog.DiscardHandler),
	})}
	if err := s.server.AddHook(&hook{}, nil); err != nil {
		return nil, fmt.Errorf("attach hook: %w", err)
	}
	return s, nil
}

// Listen opens the port and returns its address.
func (s *Server) Listen(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.address)
	if err != nil {
		return "", fmt.Errorf("listen: %w", err)
	}
	if err := s.server.AddListener(listeners.NewNet("bare", l)); err != nil {
		return "", errors.Join(fmt.Errorf("listen: %w", err), l.Close())
	}
	s.listener = l
	return l.Addr().String(), nil
}

// Run serves until ctx ends, then closes all connections.
func (s *Server) Run(ctx context.Context) error {
	if err := s.server.Serve(); err != nil { // it starts the serving and returns
		return errors.Join(fmt.Errorf("serve: %w", err), s.listener.Close())
	}
	<-ctx.Done()
	if err := s.server.Close(); err != nil {
		return fmt.Errorf("close server: %w", err)
	}
	return nil
}

// hook lets everybody in, and has every message acknowledged and given to nobody.
type hook struct{ mqtt.HookBase }

// ID is the hook's name.
func (*hook) ID() string { return "bare" }

// Provides says which calls mochi is to make.
func (*hook) Provides(call byte) bool {
	return slices.Contains([]byte{mqtt.OnConnectAuthenticate, mqtt.OnACLCheck, mqtt.OnPublish}, call)
}

// OnConnectAuthenticate lets everybody in.
func (*hook) OnConnectAuthenticate(*mqtt.Client, packets.Packet) bool { return true }

// OnACLCheck allows everything.
func (*hook) OnACLCheck(*mqtt.Client, string, bool) bool { return true }

// OnPublish has mochi acknowledge the message, and neither keep nor route it.
func (*hook) OnPublish(_ *mqtt.Client, p packets.Packet) (packets.Packet, error) {
	return p, packets.CodeSuccessIgnore
}
