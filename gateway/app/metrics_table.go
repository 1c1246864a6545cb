package app

import "github.com/fleetcast/fleetcast/gateway/metrics"

// metricsTable says what each number of Stats is to Prometheus. A test holds that none is forgotten.
var metricsTable = join(
	busMetrics, mqttMetrics, commandMetrics, traceMetrics, bridgeMetrics, edgeMetrics, peopleMetrics, storeMetrics("file"), storeMetrics("memory"), storeMetrics("redis"),
)

func join(parts ...[]metrics.Metric) (all []metrics.Metric) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

const milli = 0.001 // of what is counted in ms

var busMetrics = []metrics.Metric{
	{Path: "bus.held.inlet_entries", Name: "bus_inlet_entries", Kind: metrics.Gauge, Help: "Entries of the inlet that no owner has consumed."},
	{Path: "bus.held.inlet_bytes", Name: "bus_inlet_bytes", Kind: metrics.Gauge, Help: "Their bytes."},
	{Path: "bus.held.devices", Name: "bus_devices", Kind: metrics.Gauge, Help: "Devices whose state the bus holds."},
	{Path: "bus.held.tombstones", Name: "bus_tombstones", Kind: metrics.Gauge, Help: "Removed devices that are remembered, for viewers that come back."},
	{Path: "bus.held.events", Name: "bus_events", Kind: metrics.Gauge, Help: "Alerts and states of commands that are held, for viewers that come back."},
	{Path: "bus.held.feeds", Name: "bus_feeds", Kind: metrics.Gauge, Help: "Readers that follow the bus."},
	{Path: "bus.held.trails", Name: "bus_trails", Kind: metrics.Gauge, Help: "Trails of devices that are held."},
	{Path: "bus.held.trail_bytes", Name: "bus_trail_bytes", Kind: metrics.Gauge, Help: "Bytes of closed blocks of trails."},
	{Path: "bus.held.commands", Name: "bus_commands", Kind: metrics.Gauge, Help: "Commands that are held, open and lately ended ones."},
	{Path: "bus.held.command_bytes", Name: "bus_command_bytes", Kind: metrics.Gauge, Help: "Their bytes."},
	{Path: "bus.held.entries", Name: "bus_entries", Help: "Entries that the inlet took."},
	{Path: "bus.held.appends_repeated", Name: "bus_appends_repeated", Help: "Appends that were repeated and kept once."},
	{Path: "bus.held.appends_full", Name: "bus_appends_full", Help: "Appends that a full inlet refused; what is in them is not acknowledged."},
	{Path: "bus.held.appends_too_large", Name: "bus_appends_too_large", Help: "Appends that no inlet takes."},
	{Path: "bus.held.appends_disordered", Name: "bus_appends_disordered", Help: "Appends that came after a later one of their door."},
	{Path: "bus.held.batches", Name: "bus_batches", Help: "Batches that were published."},
	{Path: "bus.held.beats", Name: "bus_beats", Help: "Signs of life of an owner with nothing to publish."},
	{Path: "bus.held.feeds_behind", Name: "bus_feeds_behind", Help: "Readers that were too slow and began anew with the whole state."},
	{Path: "bus.held.tombstones_aged", Name: "bus_tombstones_aged", Help: "Removed devices that were forgotten because of their age."},
	{Path: "bus.held.tombstones_over", Name: "bus_tombstones_over", Help: "Removed devices that were forgotten because of their number."},
	{Path: "bus.held.events_over", Name: "bus_events_over", Help: "Alerts and states of commands that were forgotten because of their number."},
	{Path: "bus.held.trails_aged", Name: "bus_trail_blocks_aged", Help: "Blocks of trails that were dropped because of their age."},
	{Path: "bus.held.trails_over", Name: "bus_trail_blocks_over", Help: "Blocks of trails that were dropped because of the bound on bytes."},

	{Path: "bus.disk.log_bytes", Name: "disk_log_bytes", Kind: metrics.Gauge, Help: "Bytes of the log on disk."},
	{Path: "bus.disk.snapshot_bytes", Name: "disk_snapshot_bytes", Kind: metrics.Gauge, Help: "Bytes of the newest snapshot on disk."},
	{Path: "bus.disk.groups", Name: "disk_groups", Help: "Writes of the log, each of all that came meanwhile."},
	{Path: "bus.disk.bytes_written", Name: "disk_written_bytes", Help: "Bytes written to the log."},
	{Path: "bus.disk.syncs", Name: "disk_syncs", Help: "Syncs of the log."},
	{Path: "bus.disk.snapshots", Name: "disk_snapshots", Help: "Snapshots that were written."},
	{Path: "bus.disk.writes_failed", Name: "disk_write_failures", Help: "Writes of the log that failed; nothing is acknowledged until one succeeds."},
	{Path: "bus.disk.syncs_failed", Name: "disk_sync_failures", Help: "Syncs of the log that failed."},
	{Path: "bus.disk.snapshots_failed", Name: "disk_snapshot_failures", Help: "Snapshots that could not be written."},
	{Path: "bus.disk.refused_unhealthy", Name: "disk_refused", Help: "Appends and batches that were refused because the log cannot be written."},

	{Path: "bus.redis.partitions", Name: "redis_partitions", Kind: metrics.Gauge, Help: "Partitions of the store in Redis."},
	{Path: "bus.redis.owned", Name: "redis_leases", Kind: metrics.Gauge, Help: "Leases of partitions that this process holds."},
	{Path: "bus.redis.bridges", Name: "redis_bridges", Kind: metrics.Gauge, Help: "Bridges that share the partitions, as this one knows; 0 where this process is none."},
	{Path: "bus.redis.watched", Name: "redis_watched", Kind: metrics.Gauge, Help: "Partitions that this process follows."},
	{Path: "bus.redis.feeds", Name: "redis_feeds", Kind: metrics.Gauge, Help: "Readers of these."},
	{Path: "bus.redis.counts.*", Name: "redis_events", Label: "reason", Help: "What happened between this process and Redis, by reason."},
}

var mqttMetrics = []metrics.Metric{
	{Path: "mqtt.connections", Name: "mqtt_connections", Kind: metrics.Gauge, Help: "Open connections of MQTT clients."},
	{Path: "mqtt.unidentified", Name: "mqtt_unidentified_connections", Kind: metrics.Gauge, Help: "Those of them that have not said who they are."},
	{Path: "mqtt.sessions", Name: "mqtt_sessions", Kind: metrics.Gauge, Help: "Sessions of MQTT clients, connected or kept."},
	{Path: "mqtt.queued", Name: "mqtt_queued_messages", Kind: metrics.Gauge, Help: "Messages between a client and the inlet."},
	{Path: "mqtt.queued_bytes", Name: "mqtt_queued_bytes", Kind: metrics.Gauge, Help: "Bytes of their payloads."},
	{Path: "mqtt.retained", Name: "mqtt_retained_messages", Kind: metrics.Gauge, Help: "Messages that are retained for other clients."},
	{Path: "mqtt.retained_bytes", Name: "mqtt_retained_bytes", Kind: metrics.Gauge, Help: "Their bytes."},
	{Path: "mqtt.routed_bytes", Name: "mqtt_routed_bytes", Kind: metrics.Gauge, Help: "Bytes of what waits for other clients."},
	{Path: "mqtt.commits", Name: "mqtt_commits", Help: "Appends to the inlet that succeeded."},
	{Path: "mqtt.entries", Name: "mqtt_entries", Help: "Entries in these."},
	{Path: "mqtt.messages.*", Name: "mqtt_messages", Label: "kind", Help: "Messages by what they were; rejected ones are not understood."},
	{Path: "mqtt.dialects.*", Name: "mqtt_dialect_messages", Label: "dialect", Help: "Messages by the format that took them, those that it then rejected included."},
	{Path: "mqtt.rejected.*", Name: "mqtt_decode_failures", Label: "reason", Help: "Messages that were not understood, by reason."},
	{Path: "mqtt.events.*", Name: "mqtt_events", Label: "reason", Help: "What the door refused, dropped or ended, and what it sent to devices, by reason."},
	{Path: "mqtt.sparkplug.nodes", Name: "sparkplug_nodes", Kind: metrics.Gauge, Help: "Sparkplug nodes whose session is held."},
	{Path: "mqtt.sparkplug.aliases", Name: "sparkplug_aliases", Kind: metrics.Gauge, Help: "Aliases of metrics of these."},
	{Path: "mqtt.sparkplug.births", Name: "sparkplug_births", Help: "Births of nodes and their devices."},
	{Path: "mqtt.sparkplug.stale_deaths", Name: "sparkplug_stale_deaths", Help: "Deaths of a session before the present one; they say nothing."},
	{Path: "mqtt.sparkplug.unknown_aliases", Name: "sparkplug_unknown_aliases", Help: "Metrics left out for want of a birth."},
	{Path: "mqtt.sparkplug.sequence_gaps", Name: "sparkplug_sequence_gaps", Help: "Messages of nodes that went missing."},
	{Path: "mqtt.sparkplug.rebirths", Name: "sparkplug_rebirths", Help: "Nodes that were asked to introduce themselves anew."},
	{Path: "mqtt.sparkplug.rebirths_held", Name: "sparkplug_rebirths_held", Help: "Times that a node was not asked, since it was less than a minute ago."},
	{Path: "mqtt.sparkplug.refused", Name: "sparkplug_refused", Help: "Nodes, devices and aliases above the limits."},
}

var commandMetrics = []metrics.Metric{
	{Path: "commands.open", Name: "commands_open", Kind: metrics.Gauge, Help: "Commands that wait for their device or its answer, of all fleets."},
	{Path: "commands.sent", Name: "commands_sent", Help: "Commands that this door gave to a client or to the external broker."},
	{Path: "commands.sent_again", Name: "commands_sent_again", Help: "Of these, those that it had sent before."},
	{Path: "commands.delivered", Name: "commands_delivered", Help: "Commands whose client acknowledged them to this door."},
	{Path: "commands.nobody_listens", Name: "commands_unheard", Help: "Tries that found nobody who listens."},
	{Path: "commands.no_room", Name: "commands_refused", Help: "Tries for which the client or the external broker had no room."},
	{Path: "commands.reports_refused", Name: "commands_reports_refused", Help: "Sightings of commands that the inlet refused for good."},
}

var traceMetrics = []metrics.Metric{
	{Path: "traces.entered", Name: "traces_entered", Help: "Messages and requests that are traced."},
	{Path: "traces.limited", Name: "traces_limited", Help: "Messages and requests that were to be traced and are not, as they are too many in a second."},
	{Path: "traces.spans", Name: "traces_spans", Help: "Spans that this process began."},
	{Path: "traces.waiting", Name: "traces_spans_waiting", Kind: metrics.Gauge, Help: "Spans that have ended and are not sent."},
	{Path: "traces.exported", Name: "traces_spans_exported", Help: "Spans that the collector took."},
	{Path: "traces.failed", Name: "traces_spans_failed", Help: "Spans that could not be sent to the collector."},
	{Path: "traces.dropped", Name: "traces_spans_dropped", Help: "Spans for which there was no room, while the collector is away or slow."},
}

var bridgeMetrics = []metrics.Metric{
	{Path: "history.lines", Name: "history_readings", Help: "Readings written into the history."},
	{Path: "history.bytes", Name: "history_written_bytes", Help: "Bytes written into the history."},
	{Path: "history.files", Name: "history_files", Help: "Files of the history that were begun."},
	{Path: "history.lines_removed", Name: "history_readings_removed", Help: "Readings of the history that were deleted for the age that their fleet keeps, from files that have others."},
	{Path: "history.files_removed", Name: "history_files_removed", Help: "Files of the history that were deleted for their age."},
	{Path: "bridge.partitions", Name: "bridge_partitions", Kind: metrics.Gauge, Help: "Partitions that there are."},
	{Path: "bridge.owned", Name: "bridge_partitions_owned", Kind: metrics.Gauge, Help: "Partitions that this process owns."},
	{Path: "bridge.offsets.*", Name: "bridge_partition_offset", Kind: metrics.Gauge, Label: "partition", Help: "How far a partition that this process owns was published, in batches of its epoch."},
	{Path: "bridge.devices", Name: "bridge_devices", Kind: metrics.Gauge, Help: "Devices whose state this process owns."},
	{Path: "bridge.counts.*", Name: "bridge_events", Label: "reason", Help: "What owners did, and what of their input they did not believe, by reason."},
	{Path: "bridge.counts.*", Key: "readings", Name: "bridge_readings", Help: "Readings that were applied, duplicates and late ones included."},
	{Path: "bridge.counts.*", Key: "flushes", Name: "bridge_batches", Help: "Batches that were published."},
	{Path: "bridge.counts.*", Key: "assets", Name: "bridge_assets", Help: "Changed assets in these."},
}

var edgeMetrics = []metrics.Metric{
	{Path: "hub.viewers", Name: "hub_viewers", Kind: metrics.Gauge, Help: "Viewers of this edge."},
	{Path: "hub.views", Name: "hub_views", Kind: metrics.Gauge, Help: "Different filters that they have."},
	{Path: "hub.assets", Name: "hub_assets", Kind: metrics.Gauge, Help: "Assets that this edge holds."},
	{Path: "hub.batches", Name: "hub_batches", Help: "Batches that came from the bus."},
	{Path: "hub.changes", Name: "hub_changes", Help: "Changed assets in these."},
	{Path: "hub.snapshots", Name: "hub_snapshots", Help: "Times that the state of a partition was loaded anew."},
	{Path: "hub.ticks", Name: "hub_ticks", Help: "Ticks of views; each encodes what changed once for all of its viewers."},
	{Path: "hub.slices", Name: "hub_slices", Help: "Pieces of passes that were made for viewers that are behind or come back."},
	{Path: "hub.shared_slices", Name: "hub_slices_shared", Help: "Times that such a piece was given to another viewer again."},
	{Path: "hub.slice_bytes", Name: "hub_slice_bytes", Kind: metrics.Gauge, Help: "Bytes of pieces that are kept to be given again."},
	{Path: "hub.queued", Name: "hub_queued", Help: "Viewers that waited for their turn to begin."},
	{Path: "hub.conflated", Name: "hub_conflations", Help: "Times that a viewer fell behind; what it missed it gets as one newest value of each device."},
	{Path: "hub.offsets.*", Name: "hub_partition_offset", Kind: metrics.Gauge, Label: "partition", Help: "How far the partition has come at this edge, in batches of its epoch."},
	{Path: "hub.watch_failures", Name: "hub_watch_failures", Help: "Times that following a partition failed."},
	{Path: "hub.refused_viewers", Name: "hub_viewers_refused", Help: "Viewers that were refused because of their number."},
	{Path: "hub.refused_filters", Name: "hub_filters_refused", Help: "Viewers that were refused because of the number of filters."},
	{Path: "hub.resets.*", Name: "hub_resets", Label: "reason", Help: "Resets that viewers were told, by reason."},
	{Path: "hub.lag_ms", Name: "hub_lag_seconds", Kind: metrics.Gauge, Scale: milli, Help: "How late the state of this edge may be."},
	{Path: "sse.open", Name: "sse_streams", Kind: metrics.Gauge, Help: "Open streams."},
	{Path: "sse.opened", Name: "sse_streams_opened", Help: "Streams that were opened."},
	{Path: "sse.bytes", Name: "sse_written_bytes", Help: "Bytes that viewers took."},
	{Path: "sse.ended.*", Name: "sse_streams_ended", Label: "reason", Help: "Streams that ended, by reason."},
	{Path: "sse.refused.*", Name: "sse_streams_refused", Label: "reason", Help: "Streams that were not opened, by reason."},
	{Path: "sse.views.*", Name: "sse_view_changes", Label: "outcome", Help: "Changes of what streams show, by outcome."},
	{Path: "hub.moves", Name: "hub_moves", Help: "Viewers that went to another view while their stream went on."},
	{Path: "websocket.open", Name: "websocket_connections", Kind: metrics.Gauge, Help: "Open WebSocket connections."},
	{Path: "websocket.opened", Name: "websocket_opened", Help: "WebSocket connections that were opened."},
	{Path: "websocket.ended.*", Name: "websocket_ended", Label: "reason", Help: "WebSocket connections that ended, by reason."},
	{Path: "websocket.refused.*", Name: "websocket_refused", Label: "reason", Help: "WebSocket connections that were not opened, by reason."},
	{Path: "websocket.messages.*", Name: "websocket_messages", Label: "action", Help: "Messages of WebSocket clients, by what they ask for."},
	{Path: "websocket.errors", Name: "websocket_errors", Help: "Messages of WebSocket clients that were answered with an error."},
	{Path: "http.open", Name: "http_connections", Kind: metrics.Gauge, Help: "Open HTTP connections that are no streams."},
	{Path: "http.certificate_ends", Name: "http_certificate_expiry_timestamp_seconds", Kind: metrics.Gauge, Scale: milli, Help: "When the certificate of the HTTP address ends, unix time."},
	{Path: "http.limits.callers", Name: "http_callers", Kind: metrics.Gauge, Help: "Callers whose requests are counted against their limit."},
	{Path: "http.limits.refused", Name: "http_requests_limited", Help: "Requests and streams that were refused because of their caller's rate."},
	{Path: "http.limits.streams_refused", Name: "http_streams_limited", Help: "Streams that were refused because their caller has too many."},
	{Path: "http.idempotency.keys", Name: "http_idempotency_keys", Kind: metrics.Gauge, Help: "Idempotency keys that are remembered."},
	{Path: "http.idempotency.kept", Name: "http_idempotency_kept", Help: "Answers that were kept for requests with an Idempotency-Key."},
	{Path: "http.idempotency.replayed", Name: "http_idempotency_replayed", Help: "Repeated requests that were given the first answer."},
	{Path: "http.idempotency.mismatched", Name: "http_idempotency_mismatched", Help: "Requests whose key was another request's."},
	{Path: "http.idempotency.under_way", Name: "http_idempotency_under_way", Help: "Repeated requests of which the first was under way."},
	{Path: "http.idempotency.unknown", Name: "http_idempotency_unknown", Help: "Repeated requests of which nobody knows whether the first was carried out."},
	{Path: "http.idempotency.forgotten", Name: "http_idempotency_forgotten", Help: "Keys that were forgotten early, as their caller had too many."},
	{Path: "http.refused", Name: "http_connections_refused", Help: "HTTP connections that were refused because of their number."},
}

var peopleMetrics = []metrics.Metric{
	{Path: "registry.devices", Name: "registry_devices", Kind: metrics.Gauge, Help: "Registered devices."},
	{Path: "registry.fleets", Name: "registry_fleets", Kind: metrics.Gauge, Help: "Registered fleets."},
	{Path: "registry.credentials", Name: "registry_credentials", Kind: metrics.Gauge, Help: "Credentials of devices, gateways and clients."},
	{Path: "registry.quarantined", Name: "registry_quarantined", Kind: metrics.Gauge, Help: "Unknown devices that knocked and wait to be approved."},
	{Path: "registry.unreadable", Name: "registry_unreadable", Kind: metrics.Gauge, Help: "Records that this version cannot read."},
	{Path: "registry.waiting", Name: "registry_waiting", Kind: metrics.Gauge, Help: "Devices that are about to be registered or quarantined."},
	{Path: "registry.revision", Name: "registry_revision", Kind: metrics.Gauge, Help: "Revision of what people configure, as far as this process follows it."},
	{Path: "registry.counts.*", Name: "registry_events", Label: "reason", Help: "Logins and registrations of devices, by outcome."},
	{Path: "rules.rules", Name: "rules", Kind: metrics.Gauge, Help: "Rules of alerts."},
	{Path: "rules.fences", Name: "rules_fences", Kind: metrics.Gauge, Help: "Fences."},
	{Path: "rules.webhooks", Name: "rules_webhooks", Kind: metrics.Gauge, Help: "Webhooks."},
	{Path: "rules.faults", Name: "rules_faulty", Kind: metrics.Gauge, Help: "Rules that cannot be asked, or not of every device, for example since their fence is gone."},
	{Path: "rules.compiles", Name: "rules_compiles", Help: "Times that rules and fences were compiled anew."},
	{Path: "rules.refused", Name: "rules_refused", Help: "Changes that were refused since there are as many rules, fences or webhooks as there may be."},
	{Path: "rules.unreadable", Name: "rules_unreadable", Help: "Records of these that could not be read."},
	{Path: "webhooks.delivered", Name: "webhooks_delivered", Help: "Events that an address of a webhook took."},
	{Path: "webhooks.failed", Name: "webhooks_failed", Help: "Tries that failed; they are repeated."},
	{Path: "webhooks.dropped", Name: "webhooks_dropped", Help: "Events that were not sent since too many waited."},
	{Path: "webhooks.guarded", Name: "webhooks_guarded", Help: "Tries that were not made since the address must not be reached."},
	{Path: "webhooks.disabled", Name: "webhooks_disabled", Help: "Webhooks that were disabled after a long failure."},
	{Path: "webhooks.waiting", Name: "webhooks_waiting", Kind: metrics.Gauge, Help: "Events that wait to be delivered, in the partition with the most."},
	{Path: "stopping_ms", Name: "stopping_seconds", Kind: metrics.Gauge, Scale: milli, Help: "For how long the process has been stopping; 0 while it runs."},
	{Path: "settings.last_reload_successful", Name: "config_last_reload_successful", Kind: metrics.Gauge, Help: "1, or 0 where the settings were wrong when they were read again last."},
	{Path: "settings.last_success", Name: "config_last_reload_success_timestamp_seconds", Kind: metrics.Gauge, Scale: milli, Help: "When the settings in use were read, unix time."},
	{Path: "settings.reloads.*", Name: "config_reloads", Label: "outcome", Help: "Times that the settings were read again, by outcome."},
	{Path: "auth.users", Name: "auth_users", Kind: metrics.Gauge, Help: "People with an account."},
	{Path: "auth.keys", Name: "auth_keys", Kind: metrics.Gauge, Help: "API keys."},
	{Path: "auth.sessions", Name: "auth_sessions", Kind: metrics.Gauge, Help: "People who are signed in."},
	{Path: "auth.unreadable", Name: "auth_unreadable", Kind: metrics.Gauge, Help: "Records of people that this version cannot read."},
	{Path: "auth.counts.*", Name: "auth_events", Label: "reason", Help: "Proofs of people, by outcome."},
}

// storeMetrics are those of a store of what people configure. A process has one kind, so all have the same names.
func storeMetrics(kind string) []metrics.Metric {
	path := "store." + kind + "."
	all := []metrics.Metric{
		{Path: path + "records", Name: "store_records", Kind: metrics.Gauge, Help: "Records of what people configure."},
		{Path: path + "revision", Name: "store_revision", Kind: metrics.Gauge, Help: "Revision of the store."},
		{Path: path + "feeds", Name: "store_feeds", Kind: metrics.Gauge, Help: "Readers that follow the store."},
		{Path: path + "feeds_behind", Name: "store_feeds_behind", Help: "Readers that were too slow and began anew."},
	}
	if kind == "memory" {
		return all
	}
	return append(all, []metrics.Metric{
		{Path: path + "commits", Name: "store_commits", Help: "Commits to the store."},
		{Path: path + "failures", Name: "store_failures", Help: "Commits and calls that failed."},
		{Path: path + "bytes", Name: "store_bytes", Kind: metrics.Gauge, Help: "Bytes of the store's file."},
		{Path: path + "failing", Name: "store_failing", Kind: metrics.Gauge, Help: "1 where the last commit could not be written."},
		{Path: path + "retries", Name: "store_retries", Help: "Tries that failed and were repeated."},
		{Path: path + "log_gaps", Name: "store_log_gaps", Help: "Times that the change log did not lead on."},
		{Path: path + "snapshots", Name: "store_snapshots", Help: "Snapshots that were read."},
	}...)
}
