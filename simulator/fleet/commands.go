package fleet

import (
	"hash/fnv"
	"strings"

	"github.com/fleetcast/fleetcast/simulator/mqttlite"
)

// commandTopic is the start of the topics on which a gateway sends a device commands, and replyTopic of those on which it
// answers. Formats of others have none: their devices are sent nothing.
func (d *device) commandTopic() string { return d.under("/commands/") }

func (d *device) under(tail string) string {
	own, isNative := strings.CutSuffix(d.device.Status, "/status")
	if !isNative || !strings.HasPrefix(own, "fleets/") {
		return ""
	}
	return own + tail
}

// listen subscribes to the device's commands.
func (d *device) listen(client *mqttlite.Client) {
	topic := d.commandTopic()
	if !d.fleet.options.Commands || topic == "" {
		return
	}
	if _, err := client.Subscribe(topic+"+", 1); err != nil {
		d.fleet.complain("subscribe to commands", err)
	}
}

// onMessage carries a command out, which takes no time: the answer is under way before the acknowledgement.
func (d *device) onMessage(m mqttlite.Message) {
	topic := d.commandTopic()
	id, ok := strings.CutPrefix(m.Topic, topic)
	client := d.client.Load()
	if topic == "" || !ok || client == nil {
		return
	}
	answer := `{"status":"done","result":{"simulated":true}}`
	d.fleet.count.commands.Add(1)
	if d.fails(id) {
		answer = `{"status":"failed","error":"the simulator was told to fail"}`
	}
	if err := client.Publish(mqttlite.Message{Topic: d.under("/replies/") + id, Payload: []byte(answer)}, 0); err != nil {
		d.fleet.complain("answer a command", err)
	}
}

// fails says by its id whether a command fails, so that one that is sent again fails again.
func (d *device) fails(id string) bool {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id))
	return d.fleet.options.CommandsFail.Has(int(h.Sum32() >> 1))
}
