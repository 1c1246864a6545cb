// Package api is the people's door: REST, health, and the router under which the stream and the page are mounted.
//
// It owns the routes, what every answer says about its safety, which host names are answered (hosts.go), and the bounds
// of requests. It refuses to own state: assets are read from the edge's hub, trails from the bus, and what a person does
// to a device is an entry in the inlet like everything else that changes one. It imports the HTTP router, and nothing
// else does.
//
// In the walk of a message it stands beside the stream, at the end; a removal begins here and walks the whole way.
package api
