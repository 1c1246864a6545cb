package app

import (
	"fmt"
	"log/slog"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices/redisconn"
	"github.com/fleetcast/fleetcast/devices/registry"
	"github.com/fleetcast/fleetcast/devices/rulebook"
	config "github.com/fleetcast/fleetcast/devices/store"
	"github.com/fleetcast/fleetcast/gateway/auth"
	"github.com/fleetcast/fleetcast/gateway/webhook"
)

// Rehearse makes every part by the options, as Start does, and starts none: it reads the certificates, keys and styles that
// they name, and binds no port, makes no file and asks no server.
func Rehearse(o Options) error {
	if err := o.Check(); err != nil {
		return err
	}
	if o.Store.Redis != "" {
		if _, err := redisconn.ParseURL(o.Store.Redis); err != nil {
			return fmt.Errorf("read --redis: %w", err)
		}
	}
	if o.MQTT.ClientID == "" {
		o.MQTT.ClientID = "rehearsal" // else one would be made, in a file
	}
	log := slog.New(slog.DiscardHandler)
	held, err := bus.NewMemory(o.memory())
	if err != nil {
		return fmt.Errorf("make bus: %w", err)
	}
	kept := config.NewMemory(config.MemoryOptions{})
	known, err := o.rehearseKnown(kept, log)
	if err != nil {
		return err
	}
	s := &store{Bus: held, shared: o.Store.Redis != "", stats: func() BusStats { return BusStats{} }}
	_, err = wire(&o, s, known, log, func() Stats { return Stats{} })
	return err
}

// rehearseKnown makes those who follow what people configure.
func (o *Options) rehearseKnown(kept config.Store, log *slog.Logger) (known, error) {
	var k known
	jwt, err := o.Registry.jwt()
	if err != nil {
		return k, err
	}
	if k.people, err = registry.New(registry.Options{
		Store: kept, Open: o.Auth.Device != AuthRequired, Unknown: o.Registry.policy(), MaxDevices: o.Fleet.MaxDevices,
		RegisterPerMinute: o.Registry.RegisterPerMinute, JWT: jwt, Logger: log,
	}); err != nil {
		return k, err
	}
	if k.rules, err = rulebook.New(rulebook.Options{Store: kept, Logger: log}); err != nil {
		return k, err
	}
	if k.hooks, err = webhook.New(webhook.Options{Book: k.rules, Guard: o.webhookGuard(), Logger: log}); err != nil {
		return k, err
	}
	if !o.requiresViewers() {
		return k, nil
	}
	options, err := o.authOptions(kept, "", log)
	if err != nil {
		return k, err
	}
	k.viewers, err = auth.New(options)
	return k, err
}
