// Package deploy holds no program: it is the folder of what operators run Fleetcast with, and of the long documents. Its
// tests hold the files to the program: settings and metrics that they name exist, alerts are ones that Prometheus reads and
// have an entry in the runbook, and a stream goes through each proxy. They hold all documents of the repository to the tree:
// links, paths, symbols, tests, flags and endpoints that a document names are there, and its commands work.
package deploy
