import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { connect, type Connection, type Options } from '../src/connect.js'
import { Browser } from './browser.js'
import { Gateway } from './gateway.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)

// A browser on a page that came by plain http: it has no Web Locks.
function setUp() {
  const gateway = new Gateway()
  gateway.put({ id: 'a' }, { id: 'b' })
  const browser = new Browser(gateway)
  const open = (options: Options = {}) => {
    const tab = browser.tab()
    const heard: string[] = []
    const connection = connect({ ...options, platform: { ...tab.platform, locks: undefined } })
    connection.on('reset', () => heard.push('reset'))
    connection.on('alert', a => heard.push(`alert ${a.id}`))
    return { tab, connection, heard }
  }
  const settle = async () => { await pass(200); gateway.settle(); await pass(200) }
  const quiet = async (ms: number) => { for (let left = ms; left > 0; left -= 5000) { await pass(Math.min(5000, left)); gateway.heartbeat() } }
  return { gateway, browser, open, settle, quiet }
}

const ids = (c: Connection) => [...c.store.assets.keys()].sort().join('')

test('tabs share one stream, for as long as they are there', async () => {
  const { gateway, open, settle, quiet } = setUp()
  const [first, second, third] = [open(), open(), open()] // at once: who wins is one
  await settle()
  const tabs = [first, second, third]
  expect(tabs.filter(t => t.connection.leading).length).toBe(1)
  expect(tabs.map(t => [ids(t.connection), t.connection.state])).toEqual(tabs.map(() => ['ab', 'live']))
  await quiet(300_000)
  expect([gateway.opened.length, gateway.conns.size, tabs.filter(t => t.connection.leading).length]).toEqual([1, 1, 1])
})

test('when the leader closes another goes on at once from its position', async () => {
  const { gateway, browser, open, settle } = setUp()
  const first = open()
  await settle()
  const second = open()
  await settle()
  const { position } = second.connection
  first.tab.window.dispatchEvent(new Event('pagehide'))
  gateway.put({ id: 'e' })
  gateway.event('alert', { id: 'x', state: 'raised', at: 1 })
  await settle()
  expect([second.connection.leading, ids(second.connection), second.heard]).toEqual([true, 'abe', ['alert x']])
  expect([gateway.opened.length, gateway.opened[1]!.lastId]).toEqual([2, position])
  second.connection.close()
  await pass(1)
  expect(browser.stored.size).toBe(0)
})

test('when the leader crashes its lease runs out, and another goes on from its position', async () => {
  const { gateway, open, settle } = setUp()
  const first = open()
  await settle()
  const second = open()
  await settle()
  const { position } = second.connection
  first.tab.crash()
  gateway.put({ id: 'e' })
  await pass(22_000)
  await settle()
  expect([second.connection.leading, ids(second.connection), second.connection.state, second.heard]).toEqual([true, 'abe', 'live', []])
  expect(gateway.opened.at(-1)!.lastId).toBe(position)
})

test('a leader that slept for longer than its lease comes back as one of the others', async () => {
  const { gateway, open, settle } = setUp()
  const first = open()
  await settle()
  const second = open()
  await settle()
  first.tab.show(false)
  first.tab.sleep()
  gateway.put({ id: 'e' })
  await pass(30_000)
  await settle()
  expect(second.connection.leading).toBe(true)
  first.tab.wake()
  first.tab.show(true)
  await settle()
  await pass(5000)
  expect([first.connection.leading, ids(first.connection), first.connection.state, gateway.conns.size]).toEqual([false, 'abe', 'live', 1])
})

test('a lease of a clock that was set back holds nobody up', async () => {
  const { gateway, browser, open, settle } = setUp()
  const only = open()
  await settle()
  only.connection.close()
  await pass(1)
  browser.stored.set('fleetcast-lock fleetcast /stream/assets?format=batch', `gone ${Date.now() + 3_600_000}`)
  const next = open()
  await settle()
  expect([next.connection.leading, gateway.opened.length]).toEqual([true, 2])
})

test('where storage has no room each tab has a stream of its own', async () => {
  const { gateway, browser, settle } = setUp()
  for (let i = 0; i < 2; i++) {
    const tab = browser.tab()
    const full = { ...browser.storage(tab), setItem: () => { throw new DOMException('full', 'QuotaExceededError') } }
    connect({ platform: { ...tab.platform, locks: undefined, storage: full } })
  }
  await settle()
  expect(gateway.opened.length).toBe(2)
})
