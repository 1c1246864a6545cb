import { expect, test } from 'vitest'
import type { Asset } from '../src/state/fleet.ts'
import { History, MAX_SAMPLES } from '../src/state/history.ts'

const asset = (id: string, seconds: number, more: Partial<Asset> = {}): Asset =>
  ({ id, fleet: 'north', status: 'online', received: 1e12 + seconds * 1000, metrics: { fuel: seconds, 'cargo.door': true, note: 'x' }, ...more })

test('keeps each number since the page was opened, and its newest value', () => {
  const history = new History()
  for (let s = 0; s < 5; s++) history.take(asset('a', s, s === 2 ? { metrics: {} } : { battery: 90 - s }))
  expect(history.of(asset('a', 4), 'metrics.fuel')).toEqual({ times: [0, 1, 2, 3, 4].map(s => 1e12 + s * 1000), values: [0, 1, null, 3, 4] })
  expect(history.of(asset('a', 4), 'battery').values).toEqual([90, 89, null, 87, 86])
  expect(history.of(asset('a', 4.3, { metrics: { fuel: 77 } }), 'metrics.fuel').values.at(-1)).toBe(77) // between two samples
  expect([history.of(asset('a', 4), 'metrics.note').values, history.of(asset('b', 0), 'speed').values]).toEqual([[], []])
})

test('a day of it is as many samples as an hour, from the beginning to now', () => {
  const history = new History()
  for (let s = 0; s < 86_400; s++) history.take(asset('a', s))
  const { times, values } = history.of(asset('a', 86_399), 'metrics.fuel')
  expect(times.length).toBeGreaterThan(MAX_SAMPLES / 2)
  expect(times.length).toBeLessThanOrEqual(MAX_SAMPLES + 1)
  expect([values[0], values.at(-1)]).toEqual([0, 86_399])
  const steps = times.slice(1, -1).map((t, i) => t - times[i]!)
  expect(Math.max(...steps)).toBeLessThanOrEqual(2 * Math.min(...steps))
})

test('all records together stay within the bound, and assets that go make room', () => {
  const most = 20_000
  const history = new History(most)
  for (let s = 0; s < 600; s++) for (let i = 0; i < 100; i++) history.take(asset(`d${i}`, s, { speed: i }))
  expect(history.used).toBeLessThanOrEqual(most * 7 / 8)
  for (let i = 0; i < 100; i++) {
    const { values } = history.of(asset(`d${i}`, 599), 'metrics.fuel')
    expect([values[0], values.at(-1)]).toEqual([0, 599])
  }
  for (let i = 0; i < 5000; i++) history.take(asset(`late${i}`, 600))
  expect(history.used).toBeLessThanOrEqual(most)
  expect(history.of(asset('late0', 601), 'metrics.fuel').values).toEqual([600, 601]) // the last eighth is for who comes late
  for (let i = 0; i < 5000; i++) history.forget(`late${i}`)
  for (let i = 0; i < 100; i++) history.forget(`d${i}`)
  expect([history.size, history.used]).toEqual([0, 0])
})

test('names of metrics that are names of JavaScript are metrics', () => {
  const history = new History()
  const odd = asset('a', 0, { metrics: JSON.parse('{"__proto__":1,"constructor":2}') as Record<string, unknown> })
  history.take(odd)
  expect([history.of(odd, 'metrics.__proto__').values, history.of(odd, 'metrics.constructor').values, history.of(asset('a', 0), 'metrics.toString').values]).toEqual([[1], [2], []])
})
