package app

import (
	"context"
	"fmt"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/registry"
	"github.com/fleetcast/fleetcast/devices/rulebook"
	config "github.com/fleetcast/fleetcast/devices/store"
	"github.com/fleetcast/fleetcast/gateway/webhook"
)

// AlertOptions are what becomes of alerts.
type AlertOptions struct {
	Keep time.Duration `name:"alerts-keep" help:"How long an alert that was cleared can still be looked up, from 1m to 720h, where alerts_s of its fleet says nothing else." default:"${alerts_keep}"`
	// Webhooks go to public addresses by https.
	WebhookAllow    []string `name:"webhook-allow" help:"Host names and CIDRs to which webhooks may go besides public addresses, such as hooks.internal or 10.1.2.0/24." placeholder:"NAME"`
	WebhookInsecure bool     `name:"webhook-insecure" help:"Let webhooks go by http too."`
}

// Bounds of the setting.
const (
	minAlertsKeep = time.Minute
	maxAlertsKeep = 30 * 24 * time.Hour
)

func (o *Options) checkAlerts() error {
	if k := o.Alerts.Keep; k < minAlertsKeep || k > maxAlertsKeep {
		return devices.Errorf(devices.Invalid, "alerts-keep", "is %v; it is from %v to %v", k, minAlertsKeep, maxAlertsKeep)
	}
	g := o.webhookGuard()
	return g.Check()
}

func (o *Options) webhookGuard() webhook.Guard {
	return webhook.Guard{Insecure: o.Alerts.WebhookInsecure, Allow: o.Alerts.WebhookAllow}
}

// startWebhooks makes what tells the world of events. It sends where the process has the role bridge; an edge tries only.
func (a *App) startWebhooks(ctx context.Context, b *rulebook.Book) (*webhook.Sender, error) {
	s, err := webhook.New(webhook.Options{Book: b, Guard: a.opts.webhookGuard(), Logger: a.log.With("part", "webhooks")})
	if err != nil {
		return nil, fmt.Errorf("make webhooks: %w", err)
	}
	if a.opts.roles().Has(RoleBridge) {
		a.stack.push("webhooks", hubBound, a.runner.start(context.WithoutCancel(ctx), "webhooks", s.Run))
	}
	return s, nil
}

// startRules follows what people want to be told of, and tells webhooks.
func (a *App) startRules(ctx context.Context, kept config.Store) (*rulebook.Book, *webhook.Sender, error) {
	b, err := rulebook.New(rulebook.Options{Store: kept, Logger: a.log.With("part", "rules")})
	if err != nil {
		return nil, nil, fmt.Errorf("make rules: %w", err)
	}
	a.stack.push("rules", hubBound, a.runner.start(context.WithoutCancel(ctx), "rules", b.Run))
	loading, cancel := context.WithTimeout(ctx, loadBound)
	defer cancel()
	if err := b.Wait(loading, 0); err != nil {
		a.log.WarnContext(ctx, "the rules are not loaded yet; nothing is judged meanwhile", "error", err)
	}
	hooks, err := a.startWebhooks(ctx, b)
	return b, hooks, err
}

// applied is how far this process has what people configure, as owners commit it.
type applied struct {
	people *registry.Registry
	rules  *rulebook.Book
}

// Applied implements bridge.Config.
func (a applied) Applied() uint64 {
	people, _ := a.people.Revision()
	rules, _ := a.rules.Revision()
	return uint64(min(people, rules))
}

// Wait implements bridge.Config.
func (a applied) Wait(ctx context.Context, revision uint64) error {
	if err := a.people.Wait(ctx, config.Revision(revision)); err != nil {
		return err
	}
	return a.rules.Wait(ctx, config.Revision(revision))
}
