package mqttin

import (
	"testing"

	"github.com/fleetcast/fleetcast/bridge/dialect"
	"github.com/fleetcast/fleetcast/devices"
)

func TestARuleCoversAFilterOnlyIfItCoversAllOfItsTopics(t *testing.T) {
	for _, c := range []struct {
		rule, filter string
		want         bool
	}{
		{"a/b", "a/b", true},
		{"a/b", "a", false},
		{"a", "a/b", false},
		{"a/b", "a/b/c", false},
		{"a/+", "a/b", true},
		{"a/+", "a/+", true},
		{"a/+", "a/#", false},
		{"a/+", "a", false},
		{"+", "#", false},
		{"+/+", "+/+", true},
		{"+/+", "+", false},
		{"a/#", "a", true},
		{"a/#", "a/#", true},
		{"a/#", "a/b/+/#", true},
		{"a/#", "b", false},
		{"a/#", "#", false},
		{"a/#", "+/#", false},
		{"a/+/#", "a/#", false},
		{"a/+/#", "a/b", true},
		{"#", "#", true},
		{"#", "a/b", true},
		{"#", "$SYS/x", false},
		{"+/x", "$SYS/x", false},
		{"$SYS/#", "$SYS/x", true},
		{"", "a", false},
		{"a", "", false},
		{"#", "", false},
		{"a//b", "a//b", true},
		{"a/+/b", "a//b", true},
		{"/a", "a", false},
		{"a/", "a", false},
		{"a", "a/", false},
		{"a/b", "a/+", false},
	} {
		if got := covers(c.rule, c.filter); got != c.want {
			t.Errorf("covers(%q, %q) is %v", c.rule, c.filter, got)
		}
	}
}

func rules(t *testing.T) access {
	t.Helper()
	router, err := dialect.New(dialect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return access{router.AccessTemplates()}
}

func TestWhoMaySubscribeToWhat(t *testing.T) {
	a := rules(t)
	device, phone := aDevice("truck-1", "north"), aDevice("ann:phone", "phones")
	gateway := aGateway("lora", "north", "south")
	client := aClient("dashboards", nil, []string{"fleets/north/#", "weather/+"})
	for _, c := range []struct {
		who    devices.Principal
		filter string
		want   bool
	}{
		{device, "fleets/north/devices/truck-1/commands/#", true},
		{device, "fleets/north/devices/truck-1/commands/+", true},
		{device, "fleets/north/devices/truck-1/commands/7", true},
		{device, "fleets/north/devices/truck-1/telemetry", false},
		{device, "fleets/north/devices/truck-1/#", false},
		{device, "fleets/north/devices/truck-2/commands/#", false},
		{device, "fleets/north/devices/+/commands/#", false},
		{device, "fleets/+/devices/truck-1/commands/#", false},
		{device, "#", false},
		{device, "+/+/+/+/commands/#", false},
		{phone, "owntracks/ann/phone/cmd", true},
		{phone, "owntracks/ann/+/cmd", false},
		{phone, "owntracks/ben/phone/cmd", false},
		{gateway, "fleets/south/devices/+/commands/#", true},
		{gateway, "fleets/north/devices/x/commands/1", true},
		{gateway, "fleets/west/devices/x/commands/#", false},
		{gateway, "fleets/+/devices/+/commands/#", false},
		{client, "fleets/north/devices/+/telemetry", true},
		{client, "weather/oslo", true},
		{client, "weather/#", false},
		{client, "#", false},
		{devices.Principal{}, "#", true},
		{devices.Principal{Kind: 99}, "a", false},
	} {
		if got := a.maySubscribe(&c.who, c.filter); got != c.want {
			t.Errorf("%s %q: %v", c.who.Kind, c.filter, got)
		}
	}
}

func TestWhoMayPublishWhere(t *testing.T) {
	a := rules(t)
	device, phone := aDevice("truck-1", "north"), aDevice("ann:phone", "phones")
	gateway := aGateway("lora", "north", "south")
	client := aClient("tools", []string{"fleets/north/devices/+/telemetry", "notes/#"}, nil)
	for _, c := range []struct {
		who   devices.Principal
		topic string
		want  bool
	}{
		{device, "fleets/north/devices/truck-1/telemetry", true},
		{device, "fleets/north/devices/truck-1/status", true},
		{device, "fleets/north/devices/truck-1/replies/7", true},
		{device, "fleets/north/devices/truck-1/replies/7/8", false},
		{device, "fleets/north/devices/truck-1/commands/7", false},
		{device, "fleets/south/devices/truck-1/telemetry", false},
		{device, "fleets/north/devices/truck-2/telemetry", false},
		{device, "owntracks/ann/phone", false},
		{device, "anything", false},
		{device, "", false},
		{phone, "owntracks/ann/phone", true},
		{phone, "owntracks/ann/phone/event", true},
		{phone, "owntracks/ann/tablet", false},
		{phone, "fleets/phones/devices/ann:phone/telemetry", true},
		{gateway, "fleets/south/devices/x/telemetry", true},
		{gateway, "fleets/south/devices/x/replies/1", true},
		{gateway, "fleets/west/devices/x/telemetry", false},
		{gateway, "fleets/west/devices/x/replies/1", false},
		{gateway, "owntracks/ann/phone", false},
		{aGateway("recorder", "owntracks"), "owntracks/ann/phone", true},
		{gateway, "anything", false},
		{client, "fleets/north/devices/x/telemetry", true},
		{client, "fleets/north/devices/x/status", false},
		{client, "notes/a/b", true},
		{devices.Principal{}, "anything", true},
		{devices.Principal{Kind: 99}, "fleets/north/devices/x/telemetry", false},
	} {
		if got := a.mayPublish(&c.who, c.topic); got != c.want {
			t.Errorf("%s %q: %v", c.who.Kind, c.topic, got)
		}
	}
}

func TestFleetsAreWallsForEveryKind(t *testing.T) {
	device, gateway, client := aDevice("d", "north"), aGateway("g", "north"), aClient("c", []string{"#"}, nil)
	for _, c := range []struct {
		who                  devices.Principal
		device, fleet, named string
		want                 bool
	}{
		{device, "d", "north", "north", true},
		{device, "d", "south", "north", false},
		{device, "e", "north", "north", false},
		{gateway, "e", "north", "south", true}, // the registry's word counts
		{gateway, "e", "south", "north", false},
		{client, "e", "north", "north", true},
		{client, "e", "south", "north", false}, // its rule is of the topic, the device is another fleet's
		{devices.Principal{Kind: 99}, "d", "north", "north", false},
	} {
		if got := inScope(&c.who, deviceID(c.device), fleetID(c.fleet), fleetID(c.named)); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
