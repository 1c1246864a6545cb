// Command simulator is a fleet of devices, a crowd of dashboards and the benches that put both around a gateway.
//
//	simulator fleet --devices 1000 --rate 1/s --mqtt 127.0.0.1:1883 --for 60s
//	simulator watch --url http://127.0.0.1:8080/stream/assets --viewers 100 --for 60s
//	simulator bench fanout --gateway bin/gateway --out bench-out
//
// It is an outsider: it speaks MQTT and HTTP only and knows nothing of the gateway's code but the rules for ids. main is
// flags, signals and one exit; the packages below do the work.
package main
