// Command simulator is a fleet of devices, a crowd of dashboards, what goes wrong between them, and the benches that put all
// of it around a gateway.
//
//	simulator fleet --devices 1000 --rate 1/s --mqtt 127.0.0.1:1883 --for 60s
//	simulator watch --url http://127.0.0.1:8080/stream/assets --viewers 100 --for 60s
//	simulator run reconnect-storm --small
//	simulator bench fanout --gateway bin/gateway --out bench-out
//
// It is an outsider: it speaks MQTT, HTTP and WebSocket only and knows nothing of the gateway's code but the rules for ids.
// main is flags, signals and one exit; the packages below do the work. Along the way of a message:
//
//	routes → tracker → payload → fleet (mqttlite)  what devices are, see, say and send; capture plays what others said
//	proxy, hostile                                 what is bad on the way
//	watch (sseclient, wsclient)                    what dashboards are told
//	prove                                          the ledger of losses, at both ends
//	play                                           scenarios, which tie these together; report is what is told of them
package main
