package dialect

import "strings"

// Filter is an MQTT topic filter for the topics of a template.
type Filter struct {
	Topic string
	// Status says that the topics carry nothing but online and offline.
	Status bool
}

// Filters returns the filters that together match every topic that the router reads, for a door that has to subscribe.
// No filter covers another: a broker may deliver a message once for each that fits.
func (r *Router) Filters() []Filter {
	var filters []Filter
	for i := range r.rows {
		row := &r.rows[i]
		if row.down {
			continue
		}
		f := Filter{Topic: row.filter, Status: row.status}
		if f.Topic == "" {
			f.Topic = row.template.filterWith(nil)
		}
		filters = append(filters, f)
	}
	return withoutCovered(filters)
}

// withoutCovered leaves out what another filter matches as well. A filter for statuses is kept beside a wider one: it is
// asked for otherwise.
func withoutCovered(filters []Filter) []Filter {
	var kept []Filter
	for i, f := range filters {
		covered := false
		for j, g := range filters {
			if i != j && f.Status == g.Status && covers(g.Topic, f.Topic) && (f.Topic != g.Topic || j < i) {
				covered = true
			}
		}
		if !covered {
			kept = append(kept, f)
		}
	}
	return kept
}

// covers tells whether every topic that narrow matches is matched by wide.
func covers(wide, narrow string) bool {
	w, n := strings.Split(wide, "/"), strings.Split(narrow, "/")
	for i := range w {
		switch {
		case w[i] == "#":
			return true
		case i >= len(n) || n[i] == "#":
			return false
		case w[i] != "+" && w[i] != n[i]:
			return false
		}
	}
	return len(w) == len(n)
}

// filterWith writes the template as a filter: '+' for a name, '#' for the rest of a topic, but a value where there is
// one for the name.
func (t *template) filterWith(values map[string]string) string {
	levels := make([]string, len(t.levels))
	for i, l := range t.levels {
		value, filled := values[l.name]
		switch {
		case l.name == "":
			levels[i] = l.literal
		case filled:
			levels[i] = value
		case i == t.rest: // no filter can name what stands behind it
			return strings.Join(append(levels[:i], "#"), "/")
		default:
			levels[i] = "+"
		}
	}
	return strings.Join(levels, "/")
}
