import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { connect, type Options } from '../src/connect.js'
import type { State } from '../src/types.js'
import { eventSources } from './browser.js'
import { Gateway } from './gateway.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)

function start(options: Options = {}, prepare: (g: Gateway) => void = () => {}) {
  const gateway = new Gateway()
  gateway.put({ id: 'a' }, { id: 'b' })
  prepare(gateway)
  const { EventSource, all } = eventSources(gateway)
  const connection = connect({
    share: false, ...options,
    platform: { EventSource, fetch: gateway.fetch, random: () => 1, document: undefined, window: undefined, ...options.platform },
  })
  const states: State[] = []
  const errors: string[] = []
  let resets = 0
  connection.on('state', s => states.push(s))
  connection.on('error', e => errors.push(e.message))
  connection.on('reset', () => resets++)
  return {
    gateway, connection, states, errors, sources: all, resets: () => resets,
    settle: async () => { await pass(5); gateway.settle(); await pass(50) },
    ids: () => [...connection.store.assets.keys()].sort(),
    last: () => gateway.opened.at(-1)!,
  }
}

describe.each(['eventsource', 'fetch'] as const)('by %s', transport => {
  test('a snapshot, ready, then live', async () => {
    const t = start({ transport })
    await pass(5)
    t.gateway.settle()
    await pass(50)
    expect(t.states).toEqual(['catching-up', 'live'])
    expect(t.ids()).toEqual(['a', 'b'])
    t.gateway.put({ id: 'c' })
    t.gateway.remove('a')
    await pass(50)
    expect(t.ids()).toEqual(['b', 'c'])
    expect([t.connection.lagMs, t.connection.sid, t.resets()]).toEqual([0, 's1', 0])
    t.connection.close()
    expect([t.connection.state, t.gateway.conns.size]).toEqual(['closed', 0])
  })

  test('goes on from its position when the stream is cut', async () => {
    const t = start({ transport })
    await t.settle()
    t.gateway.cutAll()
    t.gateway.put({ id: 'c' })
    await pass(0)
    expect(t.connection.state).toBe('offline')
    await pass(4000)
    await t.settle()
    expect(t.last().lastId).not.toBe('')
    expect([t.ids(), t.resets(), t.connection.state]).toEqual([['a', 'b', 'c'], 0, 'live'])
  })

  test('an answer that is no stream is answered by new attempts, ever later, from the position', async () => {
    const t = start({ transport })
    await t.settle()
    t.gateway.answer = 502
    t.gateway.cutAll()
    await pass(130_000)
    const gaps = t.gateway.opened.slice(1).map((o, i) => Math.round((o.at - t.gateway.opened[i]!.at) / 100) / 10)
    expect(gaps.slice(-5)).toEqual([8, 16, 30, 30, 30])
    t.gateway.answer = 'ok'
    t.gateway.remove('b')
    await pass(31_000)
    await t.settle()
    expect([t.ids(), t.resets(), t.connection.state]).toEqual([['a'], 0, 'live'])
  })

  test('a reset empties, and the snapshot fills', async () => {
    const t = start({ transport })
    await t.settle()
    t.gateway.restart()
    t.gateway.put({ id: 'n' })
    await pass(4000)
    await t.settle()
    expect([t.ids(), t.resets()]).toEqual([['n'], 1])
  })

  test('silence of two heartbeats opens the stream anew', async () => {
    const t = start({ transport })
    await t.settle()
    for (let i = 0; i < 5; i++) {
      await pass(15_000)
      t.gateway.heartbeat()
    }
    expect([t.gateway.opened.length, t.connection.state]).toEqual([1, 'live'])
    await pass(22_000)
    expect(t.connection.state).toBe('stale')
    await pass(15_000)
    expect([t.gateway.opened.length, t.last().lastId === '']).toEqual([2, false])
  })

  test('a lag that the gateway admits is stale, until it is not', async () => {
    const t = start({ transport })
    await t.settle()
    t.gateway.lag = 9000
    t.gateway.heartbeat()
    await pass(0)
    expect([t.connection.state, t.connection.lagMs]).toEqual(['stale', 9000])
    t.gateway.lag = 20
    t.gateway.heartbeat()
    await pass(0)
    expect([t.connection.state, t.connection.lagMs]).toEqual(['live', 20])
  })

  test('401 is signed out: no attempts, until somebody has signed in', async () => {
    const t = start({ transport })
    await t.settle()
    t.gateway.answer = 401
    t.gateway.cutAll()
    await pass(10_000)
    expect(t.connection.state).toBe('signed-out')
    const before = t.gateway.opened.length
    await pass(600_000)
    expect(t.gateway.opened.length).toBe(before)
    t.gateway.answer = 'ok'
    t.gateway.put({ id: 'c' })
    t.connection.reconnect()
    await t.settle()
    expect([t.ids(), t.resets(), t.connection.state]).toEqual([['a', 'b', 'c'], 0, 'live'])
  })

  test('a refused filter is told, and asked again seldom', async () => {
    const t = start({ transport }, g => { g.answer = 403 })
    await pass(100)
    expect(t.errors).toEqual(['The gateway refuses the stream with 403.'])
    await pass(100_000)
    expect(t.gateway.opened.length).toBeLessThan(6)
  })

  test('an alert that a resume tells again is heard once', async () => {
    const t = start({ transport })
    const heard: string[] = []
    t.connection.on('alert', a => heard.push(`${a.id} ${a.state}`))
    await t.settle()
    const alert = { id: 'x', state: 'raised', at: 5 }
    t.gateway.event('alert', alert)
    t.gateway.event('alert', alert)
    t.gateway.event('alert', { ...alert, state: 'cleared', at: 6 })
    await pass(10)
    expect(heard).toEqual(['x raised', 'x cleared'])
  })

  test('what cannot be read is told and harms nothing', async () => {
    const t = start({ transport })
    await t.settle()
    for (const conn of t.gateway.conns) {
      conn.sink.text('event: batch\ndata: [{"id":\n\nevent: removed\ndata: null\n\nevent: batch\ndata: [null,7,{"id":3},{"id":"z","fleet":"f"}]\n\n')
    }
    await pass(50)
    expect(t.errors.length).toBe(2)
    expect(t.ids()).toEqual(['a', 'b', 'z'])
    expect(t.connection.state).toBe('live')
  })

  test('the view changes on the stream, and comes along to the next', async () => {
    const t = start({ transport, bbox: [0, 0, 10, 10] }, g => { g.put({ id: 'w', lat: 5, lon: 5 }, { id: 'e', lat: 5, lon: 15 }) })
    await t.settle()
    expect(t.ids()).toEqual(['w'])
    const seen: number[] = []
    t.connection.on('view', v => seen.push(v.seq))
    t.connection.setView({ bbox: [10, 0, 20, 10] })
    await pass(500)
    expect([t.ids(), t.gateway.opened.length, t.gateway.puts.length, seen]).toEqual([['e'], 1, 1, [1]])
    t.gateway.cutAll()
    await pass(4000)
    await t.settle()
    expect(new URLSearchParams(t.last().url).get('bbox')).toBe('10,0,20,10')
    expect([t.ids(), t.resets(), t.gateway.puts.length]).toEqual([['e'], 0, 1])
  })

  test('of many views in a row the newest is put', async () => {
    const t = start({ transport }, g => { g.put({ id: 'w', lat: 5, lon: 5 }) })
    await t.settle()
    for (let i = 0; i < 50; i++) {
      t.connection.setView({ bbox: [i, 0, i + 10, 10] })
      await pass(10)
    }
    await pass(500)
    expect(t.gateway.puts.length).toBeLessThan(8)
    expect(t.gateway.puts.at(-1)!.body.bbox).toEqual([49, 0, 59, 10])
    expect(t.ids()).toEqual([])
  })

  test('a gateway without views is asked by the URL', async () => {
    const t = start({ transport }, g => { g.views = false; g.put({ id: 'w', lat: 5, lon: 5 }) })
    await t.settle()
    t.connection.setView({ bbox: [0, 0, 10, 10] })
    await pass(500)
    await t.settle()
    expect([t.ids(), t.gateway.opened.length]).toEqual([['w'], 2])
  })

  test('a view that is refused is told, and the one before stays', async () => {
    const t = start({ transport })
    await t.settle()
    t.connection.setView({ bbox: [0, 10, 1, 0] })
    await pass(500)
    expect(t.errors).toEqual(['The gateway refuses the view: south is north of north'])
    t.gateway.cutAll()
    await pass(4000)
    await t.settle()
    expect([t.last().url.includes('bbox'), t.ids()]).toEqual([false, ['a', 'b']])
  })
})

test('a token goes as a header, is asked anew where it is refused, and then it is over', async () => {
  const asked: boolean[] = []
  const t = start({ token: again => { asked.push(again); return again ? 'new' : 'old' } })
  await t.settle()
  expect([t.last().authorization, t.sources.length, t.ids()]).toEqual(['Bearer old', 0, ['a', 'b']])
  t.gateway.answer = 401
  t.gateway.cutAll()
  await pass(10_000)
  expect([t.last().authorization, t.connection.state]).toEqual(['Bearer new', 'signed-out'])
  expect(asked.filter(Boolean).length).toBe(1)
})

test('EventSource with a token opens by ticket, and a new ticket keeps the position', async () => {
  const t = start({ token: 'secret', transport: 'eventsource', fleets: ['north'] })
  await t.settle()
  expect(t.gateway.tickets).toEqual(['/stream/assets?format=batch&fleet=north'])
  expect(new URLSearchParams(t.last().url.split('?')[1]).get('ticket')).toBe('t1')
  expect(t.ids()).toEqual(['a', 'b'])
  t.gateway.answer = 401 // the ticket's proof is over, and so is this EventSource
  t.gateway.cutAll()
  await pass(3100)
  t.gateway.answer = 'ok'
  t.gateway.put({ id: 'c' })
  await pass(4000)
  await t.settle()
  expect(t.gateway.tickets.length).toBe(2)
  const query = new URLSearchParams(t.last().url.split('?')[1])
  expect([query.get('ticket'), query.get('last_event_id') === null]).toEqual(['t2', false])
  expect([t.ids(), t.resets()]).toEqual([['a', 'b', 'c'], 0])
})

test('what the stream asks to wait is waited', async () => {
  const t = start({ transport: 'fetch' })
  await t.settle()
  for (const conn of t.gateway.conns) conn.sink.text('retry: 20000\n\n')
  await pass(1)
  t.gateway.cutAll()
  await pass(19_000)
  expect(t.gateway.opened.length).toBe(1)
  await pass(8000)
  expect(t.gateway.opened.length).toBe(2)
})

test('a stream that begins anew without a position clears what was shown', async () => {
  const t = start({}, g => { g.slice = 1 })
  await pass(5)
  for (const conn of t.gateway.conns) conn.sink.text('data: {"id":"old","fleet":"north"}\n\n') // cut before any id
  t.gateway.cutAll()
  await pass(4000)
  await t.settle()
  expect([t.ids(), t.resets()]).toEqual([['a', 'b'], 1])
})

test('who comes online tries at once, and soon again where that was too early', async () => {
  const window = new EventTarget()
  const t = start({ platform: { window: window as never } })
  await t.settle()
  t.gateway.answer = 502
  t.gateway.cutAll()
  await pass(100_000) // the waits are long by now
  const before = t.gateway.opened.length
  window.dispatchEvent(new Event('online'))
  await pass(10)
  expect(t.gateway.opened.length).toBe(before + 1)
  t.gateway.answer = 'ok'
  await pass(1100)
  await t.settle()
  expect(t.connection.state).toBe('live')
})

test("the gateway's clock is the least delayed of the recent heartbeats", async () => {
  const t = start()
  await t.settle()
  const say = (now: number) => { for (const c of t.gateway.conns) c.sink.text(`event: heartbeat\ndata: {"now":${now},"lag_ms":0}\n\n`) }
  say(Date.now() + 4000)
  say(Date.now() + 1000) // held up
  expect(t.connection.serverNow()).toBe(Date.now() + 4000)
  for (let i = 0; i < 8; i++) say(Date.now() - 500) // the clock was set back
  expect(t.connection.serverNow()).toBe(Date.now() - 500)
})
