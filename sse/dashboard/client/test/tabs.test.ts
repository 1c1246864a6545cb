import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { connect, type Connection, type Options } from '../src/connect.js'
import { Browser, random, seeds, type Tab } from './browser.js'
import { Gateway } from './gateway.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)

type Kind = 'locks' | 'leases'

function setUp(seed?: number, kind: Kind = 'locks') {
  const gateway = new Gateway()
  gateway.put({ id: 'a' }, { id: 'b' }, { id: 'c' }, { id: 'd' })
  const browser = new Browser(gateway, seed === undefined ? undefined : random(seed))
  const open = (options: Options = {}) => {
    const tab = browser.tab()
    const connection = connect({ ...options, platform: { ...tab.platform, ...(kind === 'leases' && { locks: undefined }) } })
    const heard: string[] = []
    connection.on('reset', () => heard.push('reset'))
    connection.on('alert', a => heard.push(`alert ${a.id}`))
    connection.on('view', v => heard.push(`view ${v.seq}`))
    return { tab, connection, heard }
  }
  const quiet = async (ms: number) => { // with heartbeats alone
    for (let left = ms; left > 0; left -= 5000) { await pass(Math.min(5000, left)); gateway.heartbeat() }
  }
  const settle = async () => { await pass(100); gateway.settle(); await pass(100) }
  return { gateway, browser, open, settle, quiet }
}

const ids = (c: Connection) => [...c.store.assets.keys()].sort().join('')

test('tabs share one stream, and a new tab gets what the leader has', async () => {
  const { gateway, open, settle } = setUp()
  const first = open()
  await settle()
  const second = open()
  await pass(100)
  expect([ids(second.connection), second.connection.state, second.connection.leading, first.connection.leading]).toEqual(['abcd', 'live', false, true])
  gateway.put({ id: 'e' })
  gateway.remove('a')
  gateway.event('alert', { id: 'x', state: 'raised', at: 1 })
  await pass(100)
  expect([ids(first.connection), ids(second.connection)]).toEqual(['bcde', 'bcde'])
  expect([first.heard, second.heard]).toEqual([['alert x'], ['alert x']])
  expect(second.connection.position).toBe(first.connection.position)
  expect(second.connection.sid).toBe('s1')
  expect(gateway.opened.length).toBe(1)
})

test.each(['closes', 'crashes'])('when the leader %s another goes on from its position', async how => {
  const { gateway, open, settle } = setUp()
  const first = open()
  await settle()
  const [second, third] = [open(), open()]
  await pass(100)
  const { position } = second.connection
  if (how === 'closes') first.connection.close()
  else first.tab.crash()
  gateway.put({ id: 'e' })
  gateway.remove('b')
  gateway.event('alert', { id: 'x', state: 'raised', at: 1 })
  await settle()
  expect(gateway.opened.length).toBe(2)
  expect(gateway.opened[1]!.lastId).toBe(position)
  for (const t of [second, third]) {
    expect([ids(t.connection), t.connection.state, t.heard]).toEqual(['acde', 'live', ['alert x']])
  }
  expect([second.connection.leading, third.connection.leading]).toEqual([true, false])
})

test('a leader that sleeps loses the stream to a tab that is looked at, and comes back as one of the others', async () => {
  const { gateway, open, settle } = setUp()
  const first = open()
  await settle()
  const second = open()
  await pass(100)
  second.tab.show(false)
  first.tab.show(false)
  first.tab.sleep()
  gateway.put({ id: 'e' })
  await pass(10_000)
  expect(ids(second.connection)).toBe('abcd')
  second.tab.show(true)
  await pass(5000)
  await settle()
  expect([second.connection.leading, ids(second.connection), second.heard]).toEqual([true, 'abcde', []])
  first.tab.wake()
  await settle()
  expect([first.connection.leading, ids(first.connection), first.connection.state]).toEqual([false, 'abcde', 'live'])
  expect(gateway.conns.size).toBe(1)
})

test('a follower whose leader falls silent says that it is stale, and takes over', async () => {
  const { gateway, open, settle } = setUp()
  const first = open()
  await settle()
  const second = open()
  await pass(100)
  first.tab.sleep()
  await pass(26_000)
  expect(second.connection.state).toBe('stale')
  await pass(8000)
  await settle()
  expect([second.connection.leading, second.connection.state]).toEqual([true, 'live'])
  expect(gateway.opened.length).toBe(2)
})

test('other filters, other streams; a token needs a name; share: false shares nothing', async () => {
  const { gateway, open, settle } = setUp()
  open()
  open({ fleets: ['north'] })
  open({ fleets: ['north'] })
  open({ share: false })
  await settle()
  expect(gateway.opened.length).toBe(3)
  open({ token: 't' })
  open({ token: 't' })
  await settle()
  expect(gateway.opened.length).toBe(5)
  open({ token: 't', share: 'me' })
  open({ token: 't', share: 'me' })
  await settle()
  expect(gateway.opened.length).toBe(6)
})

test('without locks and storage each tab has its own stream', async () => {
  const { gateway, open, settle } = setUp()
  const tabs = [open({ platform: {} }), open()]
  await settle()
  tabs.forEach(t => t.connection.close())
  const before = gateway.opened.length
  for (let i = 0; i < 2; i++) connect({ platform: { ...new Browser(gateway).tab().platform, locks: undefined, storage: undefined } })
  await settle()
  expect(gateway.opened.length - before).toBe(2)
})

test('while all tabs are hidden updates come seldom, and at once again when one is shown', async () => {
  const { gateway, open, settle, quiet } = setUp()
  const first = open()
  await settle()
  const second = open()
  await pass(100)
  first.tab.show(false)
  await quiet(30_000)
  expect(gateway.puts).toEqual([])
  second.tab.show(false)
  await quiet(12_000)
  expect(gateway.puts.map(p => p.body.every)).toEqual([10_000])
  first.tab.show(true)
  await pass(1000)
  expect(gateway.puts.map(p => p.body.every)).toEqual([10_000, null])
  expect(gateway.opened.length).toBe(1)
})

test('after a long time nobody looks the stream pauses, and goes on from its position', async () => {
  const { gateway, open, settle, quiet } = setUp()
  const only = open({ hidden: { pauseAfter: 60_000 } })
  await settle()
  only.tab.show(false)
  await quiet(70_000)
  expect([only.connection.state, gateway.conns.size]).toEqual(['paused', 0])
  gateway.put({ id: 'e' })
  await pass(600_000)
  expect(gateway.opened.length).toBe(1)
  only.tab.show(true)
  await settle()
  expect([only.connection.state, ids(only.connection), only.heard]).toEqual(['live', 'abcde', []])
})

test('a tab that crashed does not count as looked at', async () => {
  const { gateway, open, settle, quiet } = setUp()
  const first = open()
  await settle()
  const second = open()
  await pass(100)
  first.tab.show(false)
  second.tab.crash()
  await quiet(30_000)
  expect(gateway.puts.map(p => p.body.every)).toEqual([10_000])
})

test('the stream shows what each tab wants to see', async () => {
  const { gateway, open, settle } = setUp()
  gateway.put({ id: 'w', lat: 5, lon: 5 }, { id: 'e', lat: 5, lon: 50 }, { id: 'f', lat: 5, lon: 100 })
  const [first, second] = [open(), open()]
  await settle()
  first.connection.setView({ bbox: [0, 0, 10, 10] })
  await pass(1000)
  expect(gateway.puts).toEqual([]) // the other still wants all
  second.connection.setView({ bbox: [40, 0, 60, 10] })
  await pass(1000)
  expect(gateway.puts.at(-1)!.body.bbox).toEqual([0, 0, 60, 10])
  expect([ids(first.connection), ids(second.connection)]).toEqual(['ew', 'ew'])
  expect([first.heard, second.heard]).toEqual([['view 1'], ['view 1']])
  first.connection.close()
  await settle()
  await pass(6000)
  await settle()
  expect(ids(second.connection)).toBe('e')
})

test('a sign-in in one tab is one in all', async () => {
  const { gateway, open, settle } = setUp()
  const [first, second] = [open(), open()]
  await settle()
  gateway.answer = 401
  gateway.cutAll()
  await pass(10_000)
  expect([first.connection.state, second.connection.state]).toEqual(['signed-out', 'signed-out'])
  gateway.answer = 'ok'
  second.connection.reconnect()
  await settle()
  expect([first.connection.state, second.connection.state]).toEqual(['live', 'live'])
})

test('a page that goes into the cache of the back button leaves the stream to others', async () => {
  const { gateway, open, settle } = setUp()
  const [first, second] = [open(), open()]
  await settle()
  first.tab.window.dispatchEvent(new Event('pagehide'))
  await settle()
  expect(second.connection.leading).toBe(true)
  gateway.put({ id: 'e' })
  await pass(100)
  first.tab.window.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: true }))
  await settle()
  expect([first.connection.leading, ids(first.connection), gateway.conns.size]).toEqual([false, 'abcde', 1])
})

const runs = (['locks', 'leases'] as const).flatMap(kind => seeds(10).map(seed => [kind, seed] as const))
test.each(runs)('tabs that come, go, crash and sleep end with the same, on one stream, %s, seed %i', async (kind, seed) => {
  const { gateway, open, settle, browser } = setUp(seed, kind)
  const r = random(seed)
  const pick = (n: number) => Math.floor(r() * n)
  type Open = { tab: Tab; connection: Connection }
  const tabs: Open[] = [open()]
  const some = () => tabs[pick(tabs.length)]
  const act: (() => unknown)[] = [
    () => tabs.length < 5 && tabs.push(open()),
    () => { const t = some(); if (t && r() < 0.5) { t.connection.close(); tabs.splice(tabs.indexOf(t), 1) } },
    () => { const t = some(); if (t && r() < 0.3) { t.tab.crash(); tabs.splice(tabs.indexOf(t), 1) } },
    () => { const t = some(); if (t && !t.tab.asleep && r() < 0.3) { t.tab.show(false); t.tab.sleep() } },
    () => { const t = some(); if (t?.tab.asleep) { t.tab.wake(); t.tab.show(true) } },
    () => some()?.tab.show(r() < 0.5),
    () => gateway.put({ id: `d${pick(9)}`, fleet: ['north', 'south'][pick(2)]!, speed: r() }),
    () => gateway.remove(`d${pick(9)}`),
    () => { for (const c of gateway.conns) c.step() },
    () => r() < 0.3 && gateway.cutAll(),
    () => r() < 0.05 && gateway.restart(),
    () => gateway.heartbeat(),
  ]
  for (let step = 0; step < 120; step++) {
    act[pick(act.length)]!()
    await pass(pick(20))
    if (r() < 0.2) await pass(pick(9000))
  }
  for (const t of tabs) { if (t.tab.asleep) t.tab.wake(); t.tab.show(true) }
  for (let i = 0; i < 10; i++) { await pass(10_000); gateway.settle(); gateway.heartbeat() }
  await settle()
  const want = JSON.stringify([...gateway.kept].map(([id, k]) => [id, k.asset]).sort())
  for (const t of tabs) {
    expect(JSON.stringify([...t.connection.store.assets].sort())).toBe(want)
    expect(t.connection.state).toBe('live')
  }
  expect(gateway.conns.size).toBe(tabs.length > 0 ? 1 : 0)
  expect(tabs.filter(t => t.connection.leading).length).toBe(Math.min(1, tabs.length))
  if (kind === 'locks') expect(browser.held.filter(h => h.mode === 'exclusive').length).toBe(Math.min(1, tabs.length))
})
