package dialect

// row says which decoder reads the topics of a template.
type row struct {
	template string
	// id names the levels that make the device's id, joined by ':'. Empty: the level {device}, or the payload says it.
	id      []string
	unnamed bool // the payload says it, whatever levels there are
	decode  decoder
	status  bool // the topics carry nothing but online and offline
	down    bool // the way to a device: nothing that is read here, but what a device may subscribe to
	asked   bool // the format itself sends requests on it
	// anywhere is the template for whoever only looks, of a format whose topics are everybody's own choice.
	anywhere string
	// filter is what is subscribed to and may be published on, where that is less than what the template matches.
	filter string
}

// preset is an ecosystem: its topics, its format, and the fleet of its devices.
type preset struct {
	name  string
	about string
	fleet string // the rule, see parseFleetRule
	rows  []row
}

// presets are all that are known, in the order in which people are told of them.
var presets = []preset{
	{
		name: "native", about: "JSON as this program defines it", fleet: "{fleet}",
		rows: []row{
			{template: "fleets/{fleet}/devices/{device}/telemetry", decode: decodeNative},
			{template: "fleets/{fleet}/devices/{device}/status", decode: decodeStatus, status: true},
		},
	},
	{
		name: "owntracks", about: "OwnTracks apps and what speaks their format", fleet: "owntracks",
		rows: []row{
			{template: "owntracks/{user}/{device}", id: []string{"user", "device"}, decode: decodeOwnTracks},
			{template: "owntracks/{user}/{device}/cmd", id: []string{"user", "device"}, decode: decodeCommand, down: true},
			{template: "owntracks/{user}/{device}/{kind}", id: []string{"user", "device"}, decode: decodeOwnTracks},
		},
	},
	{
		name: "teltonika", about: "Teltonika trackers that send Codec JSON", fleet: "teltonika",
		rows: []row{
			{template: "{realm}/{client}/teltonika/{device}/data", decode: decodeTeltonika},
			{template: "{realm}/{client}/teltonika/{device}/commands", decode: decodeCommand, down: true},
			{template: "$aws/things/{device}/shadow/update", decode: decodeTeltonika},
		},
	},
	{
		name: "traccar", about: "positions and events that a Traccar server forwards", fleet: "traccar",
		rows: []row{
			{template: "traccar/positions", decode: decodeTraccar},
			{template: "traccar/events", decode: decodeTraccar},
		},
	},
	{
		name: "homeassistant", about: "Home Assistant device trackers", fleet: "homeassistant",
		rows: []row{
			{template: "homeassistant/{component}/{device}/config", decode: decodeDiscovery},
			{template: "homeassistant/{component}/{node}/{device}/config", decode: decodeDiscovery},
			{template: "location/{device}", decode: decodeHomeAssistant},
			{template: "{device}/attributes", decode: decodeHomeAssistant},
			{template: "{device}/state", decode: decodeZone},
		},
	},
	{
		name: "nmea", about: "NMEA 0183 sentences RMC and GGA", fleet: "nmea",
		rows: []row{{template: "nmea/{device}", decode: decodeNMEA}},
	},
	{
		name: "geojson", about: "GeoJSON Features with a Point", fleet: "geojson",
		rows: []row{{template: "geo/{device}", decode: decodeGeoJSON}},
	},
	{
		name: "digitraffic", about: "vessels around Finland, as Digitraffic publishes them", fleet: "digitraffic",
		rows: []row{
			{template: "vessels/{device}/locations", decode: decodeAIS},
			{template: "vessels-v2/{device}/location", decode: decodeAIS},
		},
	},
	{
		name: "senml", about: "SenML packs, JSON and CBOR", fleet: "senml",
		rows: []row{{template: "senml/{device}", decode: decodeSenML}},
	},
	{
		name: "sparkplug", about: "Eclipse Sparkplug B", fleet: "{group}",
		rows: []row{
			{template: "spBv1.0/{group}/NBIRTH/{node}", id: sparkplugNode, decode: decodeSparkplug(nodeBirth)},
			{template: "spBv1.0/{group}/NDATA/{node}", id: sparkplugNode, decode: decodeSparkplug(nodeData)},
			{template: "spBv1.0/{group}/NDEATH/{node}", id: sparkplugNode, decode: decodeSparkplug(nodeDeath)},
			{template: "spBv1.0/{group}/NCMD/{node}", id: sparkplugNode, decode: decodeCommand, down: true, asked: true},
			{template: "spBv1.0/{group}/DBIRTH/{node}/{device}", id: sparkplugDeviceID, decode: decodeSparkplug(deviceBirth)},
			{template: "spBv1.0/{group}/DDATA/{node}/{device}", id: sparkplugDeviceID, decode: decodeSparkplug(deviceData)},
			{template: "spBv1.0/{group}/DDEATH/{node}/{device}", id: sparkplugDeviceID, decode: decodeSparkplug(deviceDeath)},
			{template: "spBv1.0/{group}/DCMD/{node}/{device}", id: sparkplugDeviceID, decode: decodeCommand, down: true},
		},
	},
	{
		name: "sparkplug-hosts", about: "the state of Sparkplug host applications", fleet: "hosts",
		rows: []row{{template: "spBv1.0/STATE/{host}", decode: decodeSparkplugState, status: true}},
	},
	{
		name: "thethingsstack", about: "The Things Stack v3", fleet: "{application}",
		rows: []row{
			{template: "v3/{application}/devices/{device}/{kind...}", decode: decodeTTS},
			{template: "v3/{application}/devices/{device}/down/push", decode: decodeCommand, down: true},
			{template: "v3/{application}/devices/{device}/down/replace", decode: decodeCommand, down: true},
		},
	},
	{
		name: "chirpstack", about: "ChirpStack v4", fleet: "{application}",
		rows: []row{
			{template: "application/{application}/device/{device}/event/{event}", decode: decodeChirpStack},
			{template: "application/{application}/device/{device}/command/down", decode: decodeCommand, down: true},
		},
	},
	{
		name: "meshtastic", about: "Meshtastic gateways that publish JSON", fleet: "meshtastic",
		rows: []row{{template: "msh/{region...}/2/json/{channel}/{gateway}", decode: decodeMeshtastic}},
	},
	{
		name: "aws", about: "AWS IoT device shadows, and Nordic's asset tracker", fleet: "aws",
		rows: []row{
			{template: "$aws/things/{device}/shadow/update", decode: decodeShadow},
			{template: "$aws/things/{device}/shadow/update/{kind}", decode: decodeShadowKind},
			{template: "$aws/things/{device}/shadow/name/{shadow}/update", decode: decodeShadow},
			{template: "$aws/things/{device}/shadow/name/{shadow}/update/{kind}", decode: decodeShadowKind},
			{template: "{device}/batch", decode: decodeShadow},
			{template: "{device}/messages", decode: decodeShadow},
		},
	},
	{
		name: "hsl", about: "Helsinki's public transport, mqtts://mqtt.hsl.fi:8883", fleet: "hsl",
		rows: []row{{
			template: "/hfp/v2/journey/{temporal}/{event}/{mode}/{operator}/{vehicle}/{rest...}", id: []string{"operator", "vehicle"},
			decode: decodeHFP, filter: "/hfp/v2/journey/ongoing/vp/#",
		}},
	},
	{
		name: "tasmota", about: "Tasmota's firmware", fleet: "tasmota",
		rows: []row{
			{template: "tele/{device}/LWT", decode: decodeWord("online", "offline"), status: true},
			{template: "tele/{device}/{kind}", decode: decodeTasmota},
			{template: "stat/{device}/{kind}", decode: decodeTasmotaAnswer},
			{template: "cmnd/{device}/{kind}", decode: decodeCommand, down: true},
		},
	},
	{
		name: "shelly", about: "Shelly devices of the second generation and later", fleet: "shelly",
		rows: []row{
			{template: "{device}/events/rpc", decode: decodeShellyRPC},
			{template: "{device}/status/{component}", decode: decodeShellyStatus},
			{template: "{device}/online", decode: decodeWord("true", "false"), status: true},
			{template: "{device}/rpc", decode: decodeCommand, down: true},
			{template: "{device}/command/{component}", decode: decodeCommand, down: true},
		},
	},
	{
		name: "zigbee2mqtt", about: "Zigbee2MQTT", fleet: "zigbee2mqtt",
		rows: []row{
			{template: "zigbee2mqtt/bridge/{topic...}", decode: decodeOpaque},
			// What is retained is asked for where the name has one level; the rest comes with the states.
			{template: "zigbee2mqtt/{device...}/availability", decode: decodeAvailability, status: true, filter: "zigbee2mqtt/+/availability"},
			{template: "zigbee2mqtt/{device...}/set", decode: decodeCommand, down: true},
			{template: "zigbee2mqtt/{device...}/get", decode: decodeCommand, down: true},
			{template: "zigbee2mqtt/{device...}", decode: decodeZigbee},
		},
	},
	{
		name: "ditto", about: "Eclipse Ditto's protocol", fleet: "ditto",
		rows: []row{{template: "ditto/{topic...}", anywhere: "{topic...}", decode: decodeDitto}},
	},
}

var (
	sparkplugNode     = []string{"group", "node"}
	sparkplugDeviceID = []string{"group", "node", "device"}
)

// decodeCommand names what goes down to a device, whatever its payload.
func decodeCommand(_ *input, out *Result) bool {
	out.Kind = Command
	return true
}
