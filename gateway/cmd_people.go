package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// grantFlags are what somebody may.
type grantFlags struct {
	Role   string   `help:"What it may: viewer (see), operator (act) or admin (manage)." enum:"viewer,operator,admin" default:"viewer"`
	Fleets []string `help:"Its fleets. Without any: all."`
}

func (g *grantFlags) members() map[string]any {
	m := map[string]any{"role": g.Role}
	if len(g.Fleets) > 0 {
		m["fleets"] = g.Fleets
	} else {
		m["all_fleets"] = true
	}
	return m
}

// tokenCommand is `gateway token …`.
type tokenCommand struct {
	Create createTokenCommand `cmd:"" help:"Print a signed token (a JWT) that shows who asks until its time is over."`
	Revoke revokeTokenCommand `cmd:"" help:"End a token before its time, with the streams that it opened."`
}

type createTokenCommand struct {
	remote
	grantFlags
	Subject string        `help:"Whom it stands for, in the log."`
	TTL     time.Duration `name:"ttl" help:"How long it holds." default:"1h"`
}

// Run prints the token.
func (c *createTokenCommand) Run(ctx context.Context, t *terminal) error {
	body := c.members()
	body["ttl_s"] = int64(c.TTL / time.Second)
	if c.Subject != "" {
		body["subject"] = c.Subject
	}
	var made struct {
		Token string `json:"token"`
	}
	if err := c.call(ctx, http.MethodPost, "/api/tokens", nil, body, &made); err != nil {
		return err
	}
	_, err := fmt.Fprintln(t.out, made.Token)
	return err
}

type revokeTokenCommand struct {
	remote
	TokenFile string `arg:"" help:"File with the token; - is standard input." placeholder:"FILE"`
}

// Run revokes the token.
func (c *revokeTokenCommand) Run(ctx context.Context, t *terminal) error {
	token, err := firstLine(t, c.TokenFile)
	if err != nil {
		return fmt.Errorf("read token: %w", err)
	}
	return c.call(ctx, http.MethodPost, "/api/tokens/revoke", nil, map[string]any{"token": token}, nil)
}

// keysCommand is `gateway keys …`.
type keysCommand struct {
	Create createKeyCommand `cmd:"" help:"Make a key and print it; it is shown once."`
	List   listKeysCommand  `cmd:"" help:"List keys."`
	Delete deleteKeyCommand `cmd:"" help:"End a key, with the streams that it opened."`
}

type createKeyCommand struct {
	remote
	output
	grantFlags
	Note string        `help:"What it is for."`
	TTL  time.Duration `name:"ttl" help:"How long it holds; 0: until it is deleted."`
}

// Run makes the key.
func (c *createKeyCommand) Run(ctx context.Context, t *terminal) error {
	body := c.members()
	body["note"], body["ttl_s"] = c.Note, int64(c.TTL/time.Second)
	var made json.RawMessage
	if err := c.call(ctx, http.MethodPost, "/api/keys", nil, body, &made); err != nil {
		return err
	}
	var key struct{ ID, Key string }
	if err := json.Unmarshal(made, &key); err != nil {
		return fmt.Errorf("read the gateway's answer: %w", err)
	}
	return show(t, c.JSON, made, func() string { return "key " + key.ID + ": " + key.Key + "\nIt is not shown again." })
}

type listKeysCommand struct {
	remote
	output
}

// Run lists the keys.
func (c *listKeysCommand) Run(ctx context.Context, t *terminal) error {
	return c.pages(ctx, "/api/keys", "keys", url.Values{}, func(item json.RawMessage) error {
		return show(t, c.JSON, item, func() string { return grantLine(item, "id") })
	})
}

// grantLine tells who may what on one line.
func grantLine(item json.RawMessage, name string) string {
	var v map[string]any
	if err := json.Unmarshal(item, &v); err != nil {
		return string(item)
	}
	fleets := any("all fleets")
	if v["all_fleets"] != true {
		fleets = v["fleets"]
	}
	line := fmt.Sprintf("%v\t%v\t%v", v[name], v["role"], fleets)
	if note, ok := v["note"].(string); ok && note != "" {
		line += "\t" + note
	}
	if v["disabled"] == true {
		line += "\tdisabled"
	}
	return line
}

type deleteKeyCommand struct {
	remote
	ID string `arg:"" help:"Id of the key."`
}

// Run ends the key.
func (c *deleteKeyCommand) Run(ctx context.Context) error {
	return c.call(ctx, http.MethodDelete, "/api/keys/"+url.PathEscape(c.ID), nil, nil, nil)
}

// usersCommand is `gateway users …`.
type usersCommand struct {
	Create  createUserCommand `cmd:"" help:"Make a person who may sign in."`
	List    listUsersCommand  `cmd:"" help:"List people."`
	Update  updateUserCommand `cmd:"" help:"Change a person's password, role or fleets; their sessions end."`
	Disable switchUserCommand `cmd:"" help:"Shut a person out and end their sessions."`
	Enable  switchUserCommand `cmd:"" help:"Let a disabled person in again."`
	Delete  deleteUserCommand `cmd:"" help:"Delete a person."`
}

func userPath(name string) string { return "/api/users/" + url.PathEscape(name) }

type createUserCommand struct {
	remote
	grantFlags
	Name         string `arg:"" help:"Name to sign in with."`
	PasswordFile string `required:"" help:"File whose first line is the password; - is standard input." placeholder:"FILE"`
}

// Run makes the person.
func (c *createUserCommand) Run(ctx context.Context, t *terminal) error {
	password, err := firstLine(t, c.PasswordFile)
	if err != nil {
		return fmt.Errorf("read password: %w", err)
	}
	body := c.members()
	body["name"], body["password"] = c.Name, password
	return c.call(ctx, http.MethodPost, "/api/users", nil, body, nil)
}

type listUsersCommand struct {
	remote
	output
}

// Run lists the people.
func (c *listUsersCommand) Run(ctx context.Context, t *terminal) error {
	return c.pages(ctx, "/api/users", "users", url.Values{}, func(item json.RawMessage) error {
		return show(t, c.JSON, item, func() string { return grantLine(item, "name") })
	})
}

type updateUserCommand struct {
	remote
	Name         string   `arg:"" help:"Whom to change."`
	Role         string   `help:"Another role, with --fleets or all."`
	Fleets       []string `help:"The fleets of the role; without any: all."`
	PasswordFile string   `help:"File whose first line is the new password; - is standard input." placeholder:"FILE"`
}

// Run changes the person.
func (c *updateUserCommand) Run(ctx context.Context, t *terminal) error {
	body := map[string]any{}
	if c.Role != "" {
		body = (&grantFlags{Role: c.Role, Fleets: c.Fleets}).members()
	} else if len(c.Fleets) > 0 {
		return devices.Errorf(devices.Invalid, "fleets", "goes with --role")
	}
	if c.PasswordFile != "" {
		password, err := firstLine(t, c.PasswordFile)
		if err != nil {
			return fmt.Errorf("read password: %w", err)
		}
		body["password"] = password
	}
	return c.call(ctx, http.MethodPatch, userPath(c.Name), nil, body, nil)
}

type switchUserCommand struct {
	remote
	Name string `arg:"" help:"Whom."`
}

// Run disables or enables the person.
func (c *switchUserCommand) Run(ctx context.Context, called *commandName) error {
	return c.call(ctx, http.MethodPatch, userPath(c.Name), nil, map[string]any{"disabled": *called == "disable"}, nil)
}

type deleteUserCommand struct {
	remote
	Name string `arg:"" help:"Whom to delete."`
}

// Run deletes the person.
func (c *deleteUserCommand) Run(ctx context.Context) error {
	return c.call(ctx, http.MethodDelete, userPath(c.Name), nil, nil, nil)
}
