// Package dashboard is the page of the gateway: a live map, a list and the freshness of the stream.
//
// It owns the static files of the page, how they are cached, and what the page may load (its Content-Security-Policy).
// It refuses to own any data: the page is a client of /stream/assets like every other, and nothing here imports the hub.
// There are two pages: the application (app, with React and MapLibre), which `make build` bundles into dist, and a small
// one of plain modules (page), which a build without Node has instead and which is at /simple always. README.md says
// where things are.
//
// In the walk of a message it is where the message is seen, after the SSE handler and the browser's EventSource.
package dashboard
