// Vite's development server in front of a gateway: a page that asks for /stream/assets while you write it is of the same
// origin as in production. With React, add plugins: [react()].

const gateway = {
  target: 'http://127.0.0.1:8080',
  ws: true, // /stream/ws
  // An EventSource that gets any answer but 200 gives up for good, and Vite's own answer while the gateway restarts is one.
  // A closed connection is none: the browser comes back.
  configure: proxy => proxy.on('error', (error, request, response) => response.destroy()),
}

export default {
  server: { proxy: { '/stream': gateway, '/api': gateway } },
}
