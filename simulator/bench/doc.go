// Package bench puts fleets and crowds of viewers around servers in processes of their own, measures what those used, and
// puts beside it what a floor program uses for the same: the least fan-out that writes the same bytes, a bare MQTT server.
//
// Each bench is one question (fanout, memory, path, gzip, storm, slow, filters, growth, ingest, logins, cluster): its options, the order of
// its run and the section that it writes, as Markdown for people, as JSON for programs and as plots. It asserts nothing: a
// machine that is busy with other things changes every number, and so the numbers stand with the host and the generator's
// health, and what is known too badly says so.
//
// In the walk of a message it stands around both ends.
package bench
