import { fileURLToPath } from 'node:url'
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vitest/config'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

// What is built is embedded in the gateway and served under a policy that knows no inline code and no data: scripts, so
// nothing is inlined. `npm run dev` serves the sources and passes streams and requests on to a gateway.
export default defineConfig({
  plugins: [react()],
  resolve: {
    // The package's sources, not a built copy of them.
    alias: [
      { find: /^@fleetcast\/client\/react$/, replacement: here('../client/src/react.ts') },
      { find: /^@fleetcast\/client$/, replacement: here('../client/src/index.ts') },
    ],
    dedupe: ['react', 'react-dom'],
  },
  build: {
    outDir: '../dist/app',
    emptyOutDir: true,
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1600, // MapLibre is one
    modulePreload: { polyfill: false },
    target: 'es2023',
  },
  server: {
    proxy: Object.fromEntries(['/api', '/stream', '/ui.json', '/outlines.json', '/places.json', '/map'].map(path => [path, {
      target: process.env.FLEETCAST_GATEWAY ?? 'http://127.0.0.1:8080', changeOrigin: true,
    }])),
  },
  test: { include: ['test/**/*.test.ts'], environment: 'node' },
})
