// Package dashboard is the page of the gateway: a live map, a list and the freshness of the stream.
//
// It owns the static files of the page, how they are cached, and what the page may load (its Content-Security-Policy).
// It refuses to own any data: the page is a client of /stream/assets like every other, and nothing here imports the hub.
// What npm brings, the outlines of the world, is written to dist by `npm run build` and embedded where it is; a build
// without Node has a map without outlines.
//
// In the walk of a message it is where the message is seen, after the SSE handler and the browser's EventSource.
package dashboard
