// Package dialect turns what devices say into readings.
//
// It owns the table from topics to formats, one file a format, and the JSON scanner that the formats share. It refuses
// to own any transport, and any judgement of the values: a latitude of 91 is decoded, hygiene rejects it. It imports
// devices and the standard library only.
//
// A format is one file with one decode function and one or more rows in table.go. A decoder may decline what is not
// its format; the next matching row is asked then, from the most specific template to the least.
//
// In the walk of a message it stands between the door that took a payload and the inlet that keeps the reading.
package dialect
