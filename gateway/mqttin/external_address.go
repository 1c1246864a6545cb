package mqttin

import (
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/eclipse/paho.golang/paho"

	"github.com/fleetcast/fleetcast/bridge/dialect"
	"github.com/fleetcast/fleetcast/devices"
)

// endpoint is where a broker is and who we are there.
type endpoint struct {
	address  string
	secure   bool
	user     string
	password []byte
}

// parseEndpoint reads mqtt://user:password@host:port. bare has no credentials. No error holds any of the text: it may
// have a password in any place of it.
func parseEndpoint(text string) (bare *url.URL, e endpoint, err error) {
	parsed, parseErr := url.Parse(text)
	if parseErr != nil || parsed.Hostname() == "" {
		return nil, endpoint{}, devices.Errorf(devices.Invalid, "mqtt-upstream", "is not of the form mqtt://user:password@host:port")
	}
	port := "1883"
	switch parsed.Scheme {
	case "mqtt":
	case "mqtts":
		port, e.secure = "8883", true
	default:
		return nil, endpoint{}, devices.Errorf(devices.Invalid, "mqtt-upstream", "begins with neither mqtt:// nor mqtts://")
	}
	if strings.Trim(parsed.Path, "/") != "" || parsed.RawQuery != "" || parsed.Fragment != "" {
		return nil, endpoint{}, devices.Errorf(devices.Invalid, "mqtt-upstream", "has a path, a query or a fragment, which say nothing here")
	}
	if p := parsed.Port(); p != "" {
		port = p
	}
	e.address = net.JoinHostPort(parsed.Hostname(), port)
	e.user = parsed.User.Username()
	if password, ok := parsed.User.Password(); ok {
		e.password = []byte(password)
	}
	return &url.URL{Scheme: parsed.Scheme, Host: e.address}, e, nil
}

// Retain Handling of a subscription (MQTT 5.0 section 3.8.3.1).
const (
	retainedWhenNew = 1 // retained messages are sent where the subscription did not exist before
	retainedNever   = 2
)

// subscriptions are what the broker is asked for. What is retained is wanted once, not again with every reconnect. A
// shared subscription wants none of it: each door that joins the group would hear it anew, or not, as the broker likes. No Local keeps messages of ours away, should we ever publish; a shared subscription must not have it
// [MQTT-3.8.3-4].
func subscriptions(o *UpstreamOptions, router *dialect.Router) ([]paho.SubscribeOptions, error) {
	topics, statuses := o.Topics, o.StatusTopics
	for _, f := range router.Filters() {
		switch {
		case f.Status && len(o.StatusTopics) == 0:
			statuses = append(statuses, f.Topic)
		case !f.Status && len(o.Topics) == 0:
			topics = append(topics, f.Topic)
		}
	}
	if len(o.Topics) == 0 {
		topics = append(slices.Clip(topics), repliesFilter)
	}
	if strings.ContainsAny(o.Group, "/+#\x00") {
		return nil, devices.Errorf(devices.Invalid, "group", "holds a character that a topic has a meaning for")
	}
	list := make([]paho.SubscribeOptions, 0, len(topics)+len(statuses))
	for i, topic := range append(slices.Clip(topics), statuses...) {
		if !validFilter(topic) || len(topic) > maxFilterBytes || isBrokersOwn(topic) {
			return nil, devices.Errorf(devices.Invalid, "topics", "hold one that is no filter, or that is the broker's own")
		}
		s := paho.SubscribeOptions{Topic: topic, QoS: upstreamQoS, RetainHandling: retainedWhenNew, NoLocal: true}
		if isStatus := i >= len(topics); !isStatus && !o.Unshared {
			s.RetainHandling = retainedNever
			s.Topic, s.NoLocal = "$share/"+o.Group+"/"+topic, false
		}
		list = append(list, s)
	}
	return list, nil
}

// isBrokersOwn tells whether a filter begins with a $ that a broker may have a meaning for, such as $SYS or $share. The
// shadows of AWS IoT are data.
func isBrokersOwn(topic string) bool {
	return strings.HasPrefix(topic, "$") && !strings.HasPrefix(topic, "$aws/things/")
}
