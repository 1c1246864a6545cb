package app

// The table of layers, as data. Imports point down: from a layer to a lower one. What differs from that is a row of its
// own with its reason. layers_test.go holds the repository against it.

const module = "github.com/fleetcast/fleetcast"

// layers lists every package by its folder, with the level that it stands on. A package that is not here has no place.
var layers = map[string]int{
	"devices": 0,

	"devices/trace": 0, // what of a trace crosses processes; standard library only, knows no OpenTelemetry

	"bridge/bus":         1,
	"bridge/bus/bustest": 1,
	"bridge/rules":       1, // pure: knows the vocabulary only
	"devices/latency":    1, // counts durations, by fleet; knows nothing else
	"devices/secret":     1, // hashes and proofs; knows no store
	"devices/store":      1,
	"devices/redisconn":  1, // how the bus and the store reach Redis

	"devices/store/storetest": 1,
	"gateway/problem":         1, // how every HTTP port says no; knows devices and net/http only
	"gateway/completion":      1, // of command lines in shells; knows kong only
	"gateway/certs":           1, // certificate files of every port with TLS
	"gateway/api/openapi":     1, // what the people's door is, as text; knows no route

	"gateway/api/openapi/openapitest": 2, // a tool for tests

	"bridge":                      2,
	"bridge/dialect":              2,
	"bridge/trail":                2,
	"bridge/diskbus":              2,
	"bridge/redisbus":             2,
	"sse/hub":                     2,
	"sse/roster":                  2,
	"devices/registry":            2,
	"devices/rulebook":            2,
	"gateway/audit":               2,
	"gateway/command":             2, // between the bus and the doors; knows no MQTT and no HTTP
	"devices/store/embedded":      2,
	"devices/store/redis":         2,
	"devices/redisconn/redistest": 1, // a tool for tests
	"sse/dashboard/browsertest":   2, // a tool for tests

	"sse":             3,
	"sse/ws":          3,
	"sse/dashboard":   3,
	"gateway/mqttin":  3,
	"gateway/webhook": 3,
	"gateway/api":     3,
	"gateway/auth":    3,
	"gateway/metrics": 3,
	"gateway/systemd": 3,
	"gateway/history": 3, // what devices said, in files; knows what an owner hands over
	"gateway/doctor":  3, // looks at the machine and at servers; knows where the embedded bus keeps its lock
	"gateway/keep":    3, // backups: knows the embedded bus and store, and Redis's
	"gateway/tracing": 3,

	"gateway/app": 4,

	"deploy": 5, // files and their tests

	"gateway":                       5,
	"simulator":                     5,
	"simulator/fleet":               5,
	"simulator/size":                5,
	"simulator/watch":               5,
	"simulator/mqttlite":            5,
	"simulator/bench":               5,
	"simulator/floor":               5,
	"simulator/baremqtt":            5,
	"simulator/prove":               5,
	"simulator/routes":              5,
	"simulator/tracker":             5,
	"simulator/payload":             5,
	"simulator/scenario":            5,
	"simulator/measure":             5,
	"simulator/sseclient":           5,
	"simulator/wsclient":            5,
	"simulator/report":              5,
	"simulator/proxy":               5,
	"simulator/hostile":             5,
	"simulator/play":                5,
	"simulator/capture":             5,
	"simulator/units":               5,
	"simulator/certs":               5,
	"simulator/child":               5,
	"simulator/internal/testbroker": 5,
}

// An allowance is an import that the levels alone would refuse.
type allowance struct {
	from, to string // folders
	below    bool   // with everything below the folders
	testOnly bool
	reason   string
}

var allowances = []allowance{
	{from: "bridge/bus", to: "bridge/bus/bustest", testOnly: true, reason: "the in-memory bus passes the suite in its own tests"},
	{from: "bridge/bus/bustest", to: "bridge/bus", reason: "the suite is written against the contract beside it"},
	{from: "devices/store", to: "devices/store/storetest", testOnly: true, reason: "the store in memory passes the suite in its own tests"},
	{from: "devices/store/storetest", to: "devices/store", reason: "the suite is written against the contract beside it"},
	{from: "bridge", to: "bridge/trail", reason: "the bridge writes the trails"},
	{from: "gateway/api", to: "gateway/webhook", reason: "the people's door tries a webhook, by the guard that holds for all"},
	{from: "gateway/api", to: "gateway/auth", reason: "the people's door asks who is there"},
	{from: "sse/ws", to: "sse", reason: "the second transport has the first one's filters, views and limits"},
	{from: "gateway/api", to: "sse", reason: "the door says what of the fleets a stream may show"},
	{from: "simulator", to: "simulator", below: true, reason: "an outsider's own parts: the compiler refuses cycles, and main cannot be imported"},
	{from: "gateway/app", to: "simulator/prove", testOnly: true, reason: "the ledger of losses is kept against real servers whose faults the tests make"},
	{from: "gateway", to: "simulator/fleet", reason: "--demo runs devices against the gateway's own port"},
}

// A ban refuses imports that the levels would allow.
type ban struct {
	from, to string   // folders, with everything below them
	except   []string // folders below to that stay allowed
	reason   string
}

var bans = []ban{
	{from: "sse", to: "bridge", except: []string{"bridge/bus", "bridge/bus/bustest"}, reason: "the edge knows the bus, not who publishes on it: it runs in processes without a bridge"},
	{from: "bridge", to: "sse", reason: "the bridge does not know its viewers"},
	{from: "gateway/mqttin", to: "sse", reason: "the devices' door does not know the viewers"},
	{from: "gateway/mqttin", to: "bridge", except: []string{"bridge/bus", "bridge/dialect"}, reason: "a door appends to the inlet; merging is the owner's, perhaps in another process"},
	{from: "gateway/webhook", to: "bridge", except: []string{"bridge/bus"}, reason: "who tells the world of events does not make them"},
	{from: "gateway/api", to: "bridge", except: []string{"bridge/bus", "bridge/rules"}, reason: "people's changes go through the inlet like everything else"},
	{from: "simulator", to: "bridge", reason: "the simulator is an outsider: it speaks MQTT and HTTP only"},
	{from: "simulator", to: "sse", reason: "the simulator is an outsider: it speaks MQTT and HTTP only"},
	{from: "simulator", to: "gateway", except: []string{"gateway/completion"}, reason: "the simulator is an outsider: it speaks MQTT and HTTP only; how shells complete a command line is no part of a gateway"},
	{from: "gateway", to: "simulator/watch", reason: "only --demo needs the simulator, and only its fleet"},
}

// A library says which packages may import a third-party module. A module that is not here is not a dependency of ours.
type library struct {
	path   string   // the module's path, without the major version
	in     []string // folders whose code may import it
	tests  []string // folders whose tests may import it as well; "*" is every one
	reason string
}

var libraries = []library{
	{path: "github.com/mochi-mqtt/server", in: []string{"gateway/mqttin", "simulator/baremqtt"}, tests: []string{"simulator/mqttlite", "simulator/fleet"}, reason: "mochi is the front end behind the door, not a router that others may use; the simulator's tests take it as a foreign broker, and its bench as the least that ingest costs"},
	{path: "github.com/pires/go-proxyproto", in: []string{"gateway/mqttin"}, reason: "the PROXY header stands before the first byte of MQTT"},
	{path: "github.com/eclipse/paho.golang", in: []string{"gateway/mqttin"}, reason: "the external broker is behind the door"},
	{path: "github.com/redis/go-redis", in: []string{"bridge/redisbus", "devices/store/redis", "devices/redisconn", "devices/redisconn/redistest", "gateway/doctor", "simulator/bench"}, reason: "Redis is behind the bus and the store; the bench asks the servers that it started what they did"},
	{path: "github.com/jackc/pgx", in: []string{"gateway/history"}, reason: "history is copied into PostgreSQL in one place"},
	{path: "go.etcd.io/bbolt", in: []string{"devices/store/embedded"}, reason: "the file of what people configure is the embedded store's"},
	{path: "golang.org/x/crypto", in: []string{"devices/secret"}, reason: "argon2id of chosen passwords"},
	{path: "github.com/golang-jwt/jwt", in: []string{"devices/secret", "gateway/auth"}, tests: []string{"devices/registry", "gateway/app"}, reason: "JWTs prove who asks, at the one place of each port"},
	{path: "github.com/go-chi/chi", in: []string{"gateway/api"}, reason: "routes are in one place; handlers take net/http only"},
	{path: "github.com/alecthomas/kong", in: []string{"gateway", "gateway/app", "gateway/completion", "simulator"}, reason: "settings are read by mains and passed on as Options"},
	{path: "go.yaml.in/yaml", in: []string{"gateway/app", "simulator/play", "gateway/api/openapi"}, reason: "the settings file is read in one place, scenarios of the simulator in another; and the API is described in it"},
	{path: "github.com/fxamacker/cbor", in: []string{"bridge/dialect"}, reason: "SenML in CBOR: hostile lengths and nesting are the library's whole point"},
	{path: "google.golang.org/protobuf", in: []string{"bridge/dialect"}, tests: []string{"gateway/app"}, reason: "Sparkplug's payloads: the wire reader only, without generated code; in tests a collector of traces"},
	{path: "github.com/expr-lang/expr", in: []string{"bridge/rules"}, reason: "expressions of rules"},
	{path: "github.com/paulmach/orb", in: []string{"bridge/rules", "bridge/trail", "gateway/api"}, reason: "geometry of fences; simplified trails"},
	{path: "github.com/tidwall/rtree", in: []string{"bridge/rules"}, reason: "which fences a place may be in"},
	{path: "github.com/MicahParks/jwkset", in: []string{"gateway/auth"}, tests: []string{"gateway/app"}, reason: "keys that identity providers publish"},
	{path: "github.com/HdrHistogram/hdrhistogram-go", in: []string{"simulator/measure", "simulator/fleet", "simulator/watch"}, reason: "percentiles are computed where load is made"},
	{path: "github.com/klauspost/compress", in: []string{"sse"}, reason: "streams are compressed where their bytes are framed"},
	{path: "golang.org/x/term", in: []string{"simulator", "simulator/measure", "simulator/fleet", "simulator/watch"}, reason: "the progress line is the simulator's"},
	{path: "golang.org/x/sys", in: []string{"gateway/doctor", "sse", "gateway/mqttin", "sse/dashboard/browsertest", "bridge/diskbus", "simulator/mqttlite", "simulator/bench"}, reason: "what the kernel says of clock and disk; socket options where sockets are served, and whether one has room; a lock between test processes; when a file was born; the clock of another process"},
	{path: "golang.org/x/time", in: []string{"gateway/mqttin", "gateway/api", "bridge", "simulator/fleet"}, reason: "rates of logs and of accepted connections"},
	{path: "github.com/chromedp", in: []string{"sse/dashboard/browsertest"}, tests: []string{"sse/dashboard"}, reason: "one package drives browsers"},
	{path: "github.com/tmaxmax/go-sse", tests: []string{"*"}, reason: "the reference client that our streams are tested with"},
	{path: "github.com/coder/websocket", in: []string{"sse/ws", "simulator/wsclient", "gateway/mqttin"}, tests: []string{"simulator/watch", "gateway/app"}, reason: "the wire of WebSocket, at both of its ends, and MQTT over it"},
	{path: "github.com/getkin/kin-openapi", in: []string{"gateway/api/openapi/openapitest"}, reason: "an independent reader of the description of the API, which holds what is sent and answered to it"},
	{path: "github.com/santhosh-tekuri/jsonschema", tests: []string{"gateway/app"}, reason: "the description of messages is held to the schema that its standard publishes"},
	{path: "github.com/coreos/go-systemd", in: []string{"gateway/systemd"}, reason: "the service manager is told in one place"},
	{path: "github.com/prometheus/client_golang", in: []string{"gateway/metrics"}, tests: []string{"gateway/app"}, reason: "counters are shown to Prometheus in one place; no part knows it"},
	{path: "go.opentelemetry.io/otel", in: []string{"gateway/tracing"}, reason: "spans leave in one place; no part knows OpenTelemetry"},
	{path: "go.opentelemetry.io/proto/otlp", tests: []string{"gateway/app"}, reason: "a collector in tests"},
	{path: "go.uber.org/goleak", in: []string{"bridge/bus/bustest"}, tests: []string{"*"}, reason: "leak checks"},
	{path: "pgregory.net/rapid", in: []string{"bridge/bus/bustest"}, tests: []string{"*"}, reason: "models over random interleavings"},
}
