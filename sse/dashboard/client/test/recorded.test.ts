// A stream as the gateway wrote it (test/recorded.txt, batch format, 4 s of a demo), read in pieces of every size.

import { readFile } from 'node:fs/promises'
import { expect, test, vi } from 'vitest'
import { connect } from '../src/connect.js'
import type { Heartbeat, Ready } from '../src/types.js'
import { random } from './browser.js'

const recorded = await readFile(new URL('recorded.txt', import.meta.url))

async function replay(pieces: Uint8Array[]) {
  const body = new ReadableStream<Uint8Array>({
    start(c) { for (const piece of pieces) c.enqueue(piece) }, // and stays open
  })
  const connection = connect({
    share: false, transport: 'fetch',
    platform: {
      fetch: async () => new Response(body, { headers: { 'content-type': 'text/event-stream' } }),
      document: undefined, window: undefined,
    },
  })
  const readies: Ready[] = []
  const beats: Heartbeat[] = []
  let messages = 0
  connection.on('ready', r => readies.push(r))
  connection.on('heartbeat', h => beats.push(h))
  connection.on('assets', () => messages++)
  const errors: Error[] = []
  connection.on('error', e => errors.push(e))
  const last = /^id: (.*)$/gm
  const ids = [...recorded.toString().matchAll(last)].map(m => m[1])
  await vi.waitFor(() => expect(connection.position).toBe(ids.at(-1)))
  const assets = [...connection.store.assets.values()]
  const { state } = connection
  connection.close()
  return { assets, readies, beats, messages, errors, state }
}

test('a recorded stream is read whole, however it is cut', async () => {
  const whole = await replay([new Uint8Array(recorded)])
  expect(whole.errors).toEqual([])
  expect(whole.readies.length).toBe(1)
  expect(whole.readies[0]!.assets).toBe(whole.assets.length)
  expect(whole.beats.length).toBeGreaterThan(0)
  expect(whole.messages).toBeGreaterThan(3)
  expect(whole.state === 'live' || whole.state === 'stale').toBe(true)
  for (const a of whole.assets) expect(typeof a.lat).toBe('number')
  const r = random(3)
  for (const most of [1, 7, 1000]) {
    const pieces: Uint8Array[] = []
    for (let at = 0; at < recorded.length;) {
      const n = 1 + Math.floor(r() * most)
      pieces.push(new Uint8Array(recorded.subarray(at, at + n)))
      at += n
    }
    expect((await replay(pieces)).assets).toEqual(whole.assets)
  }
})
