package dialect

import "strings"

// Filter is an MQTT topic filter for the topics of a template.
type Filter struct {
	Topic string
	// Status says that the topics carry nothing but online and offline.
	Status bool
}

// Filters returns the filters that together match every topic that the router knows, for a door that has to subscribe.
func (r *Router) Filters() []Filter {
	filters := make([]Filter, 0, len(r.rows))
	for i := range r.rows {
		filters = append(filters, Filter{Topic: r.rows[i].template.filter(), Status: r.rows[i].status})
	}
	return filters
}

// filter writes the template as a filter: '+' for a name, '#' for the rest of a topic.
func (t *template) filter() string {
	levels := make([]string, len(t.levels))
	for i, l := range t.levels {
		switch {
		case l.name == "":
			levels[i] = l.literal
		case t.rest && i == len(t.levels)-1:
			levels[i] = "#"
		default:
			levels[i] = "+"
		}
	}
	return strings.Join(levels, "/")
}
