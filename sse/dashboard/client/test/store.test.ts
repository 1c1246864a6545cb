import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { AssetStore, type Changes } from '../src/store.js'
import type { Asset } from '../src/types.js'

const asset = (id: string, more: Partial<Asset> = {}): Asset => ({ id, fleet: 'north', status: 'online', received: 1, ...more })

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

test('notifies once a frame of all that changed', () => {
  const store = new AssetStore()
  const heard: Changes[] = []
  store.subscribe(c => heard.push(c))
  store.put([asset('a'), asset('b')])
  store.put([asset('a', { speed: 2 })])
  store.remove({ id: 'b', fleet: 'north' })
  expect(heard).toEqual([])
  vi.advanceTimersByTime(20)
  expect(heard).toEqual([{ changed: new Set(['a']), removed: new Set(['b']), reset: false }])
  expect(store.version).toBe(1)
  vi.advanceTimersByTime(1000)
  expect(heard.length).toBe(1)
})

test('a removal of another fleet is of a device that has moved', () => {
  const store = new AssetStore()
  store.put([asset('a', { fleet: 'south' })])
  expect(store.remove({ id: 'a', fleet: 'north' })).toBe(false)
  expect(store.remove({ id: 'z', fleet: 'north' })).toBe(false)
  expect(store.size).toBe(1)
})

test('after a reset, what came again is changed and what did not is removed', () => {
  const store = new AssetStore()
  store.put([asset('a'), asset('b')])
  store.flush()
  const heard: Changes[] = []
  store.subscribe(c => heard.push(c))
  store.clear()
  store.put([asset('b')])
  store.flush()
  expect(heard).toEqual([{ changed: new Set(['b']), removed: new Set(['a']), reset: true }])
})

test('who wants one asset hears of that alone', () => {
  const store = new AssetStore()
  let heard = 0
  const end = store.subscribeTo('a', () => heard++)
  store.put([asset('b')])
  store.flush()
  expect(heard).toBe(0)
  store.put([asset('a')])
  store.flush()
  store.clear()
  store.flush()
  expect(heard).toBe(2)
  end()
  store.put([asset('a')])
  store.flush()
  expect(heard).toBe(2)
})

test('ids that are names of JavaScript are ids', () => {
  const store = new AssetStore()
  store.put(['__proto__', 'constructor'].map(id => asset(id)))
  expect([store.size, store.get('toString')]).toEqual([2, undefined])
})

test('a listener may end itself or another while it hears', () => {
  const store = new AssetStore()
  let heard = 0
  const end = store.subscribe(() => { heard++; end() })
  store.subscribe(() => heard++)
  for (let i = 0; i < 2; i++) {
    store.put([asset('a')])
    store.flush()
  }
  expect(heard).toBe(3)
})
