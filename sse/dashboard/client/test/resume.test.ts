// Whatever happens to a stream, the page ends with what the gateway has, every event was heard once, and nothing was
// dropped without a reset.

import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { connect } from '../src/connect.js'
import type { Asset } from '../src/types.js'
import { eventSources, random, seeds } from './browser.js'
import { Gateway } from './gateway.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

test.each(seeds(25))('a stream that is cut at any moment ends right, seed %i', async seed => {
  const r = random(seed)
  const pick = (n: number) => Math.floor(r() * n)
  const gateway = new Gateway()
  gateway.slice = 1 + pick(4)
  const { EventSource } = eventSources(gateway, r)
  const connection = connect({
    share: false, transport: seed % 2 ? 'fetch' : 'eventsource',
    platform: { EventSource, fetch: gateway.fetch, random: r, document: undefined, window: undefined },
  })
  const page = new Map<string, Asset>() // by a second reader of the events, without the store
  const heard: number[] = []
  let resets = 0
  connection.on('assets', list => list.forEach(a => page.set(a.id, a)))
  connection.on('removed', ({ id, fleet }) => { if (page.get(id)?.fleet === fleet) page.delete(id) })
  connection.on('reset', () => { page.clear(); heard.length = 0; resets++ })
  connection.on('alert', a => heard.push(a.at))

  let events = 0
  let restarted = false
  let since = 0 // events before the newest epoch
  const act: (() => unknown)[] = [
    () => gateway.put({ id: `d${pick(12)}`, fleet: ['north', 'south'][pick(2)]!, speed: r() }),
    () => gateway.put(...[...Array(5).keys()].map(() => ({ id: `d${pick(12)}`, speed: r() }))),
    () => gateway.remove(`d${pick(12)}`),
    () => gateway.event('alert', { id: `x${events}`, state: 'raised', at: ++events }),
    () => { for (const c of gateway.conns) c.step() },
    () => { for (const c of gateway.conns) c.step() },
    () => gateway.heartbeat(),
    () => r() < 0.4 && gateway.cutAll(),
    () => { if (r() < 0.3) { gateway.answer = 502; gateway.cutAll() } else gateway.answer = 'ok' },
    () => { if (r() < 0.1) { gateway.restart(); restarted = true; since = events } },
    () => vi.advanceTimersByTimeAsync(pick(8000)),
  ]
  let began = false
  for (let step = 0; step < 250; step++) {
    await act[pick(act.length)]!()
    if (!began && connection.state === 'live') { began = true; since = Math.max(since, events - heard.length) }
    await vi.advanceTimersByTimeAsync(pick(50))
  }
  gateway.answer = 'ok'
  await vi.advanceTimersByTimeAsync(60_000)
  gateway.settle()
  await vi.advanceTimersByTimeAsync(100)
  if (!began) since = events

  const want = new Map([...gateway.kept].map(([id, k]) => [id, k.asset]))
  const sorted = (m: ReadonlyMap<string, Asset>) => [...m].sort()
  expect(sorted(connection.store.assets)).toEqual(sorted(want))
  expect(sorted(page)).toEqual(sorted(want))
  expect(connection.state).toBe('live')
  expect(new Set(heard).size).toBe(heard.length)
  if (!restarted) {
    expect(resets).toBeLessThanOrEqual(1) // only one that was cut before its first id begins anew
    expect(heard.filter(n => n > since)).toEqual([...Array(events).keys()].map(i => i + 1).filter(n => n > since))
  }
  connection.close()
})
