// Package command is how people's commands get to devices, and how it is seen what became of them.
//
// A Desk follows the table of commands that the partitions' owners keep on the bus: it answers what is known of each, and
// takes new ones in by the inlet. A Dispatcher is a door's: it sends what is open to the devices that the door holds, and
// tells the inlet what it saw. Both live in any process that has the bus; neither keeps anything of its own.
//
// It owns the order of steps between the table and a door: what is sent when, what is sent again, and what is told. It
// refuses to own the states themselves, which are the owner's (bridge/commands.go), MQTT, which is the door's
// (gateway/mqttin), and who may send a command, which whoever calls Desk.Send has asked (gateway/api).
//
// In the walk of a command: gateway/api → Desk.Send → bus (inlet) → bridge → bus (table) → Desk → Dispatcher → mqttin →
// the device, and its acknowledgement and its answer come back by the inlet.
package command
