// Package openapi is the description of the people's door: an OpenAPI 3.1 document, and the page that shows it.
//
// It owns the files under description/, one an area, what they share in openapi.yaml, and how they become one document.
// It refuses to know any route: that each route is described and each description has its route is held by a test of
// gateway/api, which asks the router, and every answer that a test of that package or of gateway/app sees is held to
// its schema (openapitest).
//
// Who adds a route adds it to the file of its area, or adds a file; nothing else lists the files. The rules:
//
//   - An operation has an operationId, a tag, a summary, x-role with the least role, x-all-fleets where that is needed,
//     an example wherever there is JSON, and "default" for problems.
//   - A schema of an object lists all its members: in tests one that is not listed is an error, in requests and in
//     answers. So schemas of objects are not put together with allOf.
//   - "#/components/…" is one name space over all files.
//
// messages.yaml is the other half: an AsyncAPI 3.0 document of what goes over MQTT, SSE and WebSocket, with the schemas of the first.
//
// In the walk of a message it has no place.
package openapi
