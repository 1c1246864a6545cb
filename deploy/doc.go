// Package deploy holds no program: it is the folder of what operators run Fleetcast with. Its tests hold the files to the
// program: settings and metrics that they name exist, alerts are ones that Prometheus reads and have an entry in the runbook, and
// a stream goes through each proxy.
package deploy
