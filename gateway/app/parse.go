package app

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/fleetcast/fleetcast/devices"
)

// ErrShown says that the arguments asked for help or the version, which was written, and for nothing else.
var ErrShown = errors.New("shown")

// Commands are named where the settings are listed. The program's main has them.
const Commands = "gateway config, doctor, version, completion, decode, presets, devices, commands, fleets, credentials, rules, fences, alerts, webhooks, token, keys, users"

// envPrefix begins every variable: --mqtt-listen is FLEETCAST_MQTT_LISTEN.
const envPrefix = "FLEETCAST"

// grammar is everything that a command line without a command may say.
type grammar struct {
	Options
	Version kong.VersionFlag `help:"Print the version and stop." env:"-"`
}

// newParser makes the parser of the settings, which is also their list.
func newParser(g *grammar, file *settingsFile, stdout io.Writer, exit func(int)) (*kong.Kong, error) {
	k, err := kong.New(
		g, kong.Name("gateway"),
		kong.Description("Takes telemetry of devices in over MQTT and shows their live state to browsers. Other commands, each with --help: "+Commands+"."),
		kong.Writers(stdout, stdout), kong.Exit(exit),
		kong.DefaultEnvars(envPrefix),
		defaultVars(), kong.Vars{"version": Version()},
		kong.Bind(file), kong.Resolvers(file),
	)
	if err != nil {
		return nil, fmt.Errorf("build the flags: %w", err)
	}
	return k, nil
}

// Parse reads the settings from the arguments (without the program's name), the environment and the settings file. An
// error names the flag, the variable, or the file with the line, that has to change. ErrShown is no failure.
func Parse(args []string, stdout io.Writer) (Options, error) {
	s, err := Load(args, stdout)
	if err != nil {
		return Options{}, err
	}
	return s.Options, nil
}

// Load is Parse that says as well whence each setting comes.
func Load(args []string, stdout io.Writer) (*Loaded, error) {
	g, shown, file := &grammar{}, false, &settingsFile{}
	k, err := newParser(g, file, stdout, func(int) { shown = true }) // parsing goes on after it; its result is dropped below
	if err != nil {
		return nil, err
	}
	ctx, err := k.Parse(args)
	switch {
	case shown:
		return nil, ErrShown
	case err != nil:
		return nil, err
	}
	secrets, err := readSecrets(ctx, file)
	if err != nil {
		return nil, err
	}
	g.Dialects.Mappings = file.mappings
	if err := g.Check(); err != nil {
		return nil, withOrigin(ctx, file, err)
	}
	return &Loaded{Options: g.Options, Applied: appliedOf(ctx, file, secrets)}, nil
}

// defaultVars gives the tags the values of Defaults, so that a default stands in one place.
func defaultVars() kong.Vars {
	d := Defaults()
	vars := kong.Vars{
		"mqtt_listen":     d.MQTT.Listen,
		"http_listen":     d.HTTP.Listen,
		"admin_listen":    defaultAdminListen,
		"http_gzip":       strconv.FormatBool(d.HTTP.Gzip),
		"device_auth":     string(d.Auth.Device),
		"roles":           d.roles().String(),
		"mqtt_group":      d.MQTT.Group,
		"data_dir":        defaultDataDir,
		"fsync":           d.Store.Fsync.String(),
		"window":          d.Fleet.Window.String(),
		"history_keep":    d.History.Keep.String(),
		"alerts_keep":     d.Alerts.Keep.String(),
		"trace_ratio":     strconv.FormatFloat(d.Trace.Ratio, 'f', -1, 64),
		"min_window":      minWindow.String(),
		"max_window":      maxWindow.String(),
		"owntracks_fleet": d.Fleet.OwnTracksFleet.String(),
		"max_devices":     strconv.Itoa(d.Fleet.MaxDevices),
		"max_trail_mb":    strconv.Itoa(d.Fleet.MaxTrailMB),
		"viewport_from":   strconv.Itoa(d.Map.ViewportFrom),
		"demo":            strconv.Itoa(d.Fleet.Demo),
		"log_level":       strings.ToLower(d.Log.Level.String()),
		"log_format":      d.Log.Format,

		"viewer_auth":         string(d.People.Viewer),
		"rate_limit":          strconv.FormatFloat(d.Guard.Rate, 'f', -1, 64),
		"rate_burst":          strconv.Itoa(d.Guard.Burst),
		"streams_per_caller":  strconv.Itoa(d.Guard.StreamsPerCaller),
		"session_ttl":         d.People.SessionTTL.String(),
		"device_unknown":      d.Registry.Unknown,
		"offline_after":       d.Registry.OfflineAfter.String(),
		"register_per_minute": strconv.Itoa(d.Registry.RegisterPerMinute),
		"device_jwt_leeway":   d.Registry.JWTLeeway.String(),
	}
	d.MQTT.Limits.vars(vars)
	return vars
}

// withOrigin says where the value that Check refused came from.
func withOrigin(ctx *kong.Context, file *settingsFile, err error) error {
	wrong, ok := errors.AsType[*devices.Error](err)
	if !ok {
		return err
	}
	for _, f := range ctx.Flags() {
		if f.Name == wrong.Field {
			return fmt.Errorf("%s: %s", origin(ctx, file, f), wrong.Detail)
		}
	}
	return err
}

// origin names where a setting's value comes from, as the one who has to change it knows it.
func origin(ctx *kong.Context, file *settingsFile, f *kong.Flag) string {
	if where := whence(ctx, file, f); where != "" {
		return where
	}
	return "--" + f.Name
}

// whence is origin, or "" for a default.
func whence(ctx *kong.Context, file *settingsFile, f *kong.Flag) string {
	for _, p := range ctx.Path {
		if p.Flag == f && !p.Resolved {
			return "--" + f.Name
		}
	}
	if name := variableOf(f); name != "" {
		return name
	}
	if v, ok := file.values[f.Name]; ok {
		return file.at(v.line) + ": " + f.Name
	}
	return ""
}

// variableOf returns the name of the variable that sets the flag, or "".
func variableOf(f *kong.Flag) string {
	for _, name := range f.Envs {
		if _, ok := os.LookupEnv(name); ok {
			return name
		}
	}
	return ""
}
