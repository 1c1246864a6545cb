import { expect, test } from 'vitest'
import { keyOf, union, viewOf, withParameter, withView } from '../src/view.js'
import type { View } from '../src/types.js'
import { random } from './browser.js'

test('a view goes into a URL and comes back', () => {
  const view: View = { fleets: ['north', 'a&b'], devices: ['x=y'], bbox: [170, -10, -170, 10], fields: ['lat', 'lon'], every: 500 }
  const url = withView('https://h/stream/assets?format=batch&fleet=old', view)
  expect(viewOf(url)).toEqual(view)
  expect(url).toContain('format=batch')
  expect(url).not.toContain('old')
  expect(viewOf('/stream/assets')).toEqual({})
  expect(withParameter('/s?a=1', 'last_event_id', '{"&"}')).toBe('/s?a=1&last_event_id=%7B%22%26%22%7D')
})

test('views that ask for the same have one key', () => {
  expect(keyOf({ fleets: ['a', 'b'] })).toBe(keyOf({ fleets: ['b', 'a', 'a'], bbox: null, devices: [] }))
  expect(keyOf({ fleets: ['a'] })).not.toBe(keyOf({ devices: ['a'] }))
})

test('a union narrows only by what all narrow by', () => {
  expect(union([{ fleets: ['a'] }, { fleets: ['b'] }])).toEqual({ fleets: ['a', 'b'] })
  expect(union([{ fleets: ['a'] }, {}])).toEqual({})
  expect(union([{ every: 500 }, { every: 1000 }])).toEqual({ every: 500 })
  expect(union([{ every: 500 }, {}])).toEqual({})
  expect(union([{ fields: ['lat'] }, { fields: ['lon'] }])).toEqual({ fields: ['lat', 'lon'] })
  expect(union([])).toEqual({})
})

test('a union of boxes holds what each of them holds, also over 180°', () => {
  const r = random(7)
  const within = ([w, s, e, n]: readonly [number, number, number, number], lon: number, lat: number) =>
    lat >= s && lat <= n && (w <= e ? lon >= w && lon <= e : lon >= w || lon <= e)
  const place = () => Math.round(r() * 36000) / 100 - 180
  const box = (): [number, number, number, number] => {
    const [a, b] = [r() * 180 - 90, r() * 180 - 90]
    const west = place()
    const east = r() < 0.3 ? place() : west + r() * 20
    return [west, Math.min(a, b), east > 180 ? east - 360 : east, Math.max(a, b)]
  }
  for (let round = 0; round < 500; round++) {
    const [a, b] = [box(), box()]
    const all = union([{ bbox: a }, { bbox: b }]).bbox
    for (let i = 0; i < 40; i++) {
      const [lon, lat] = [place(), r() * 180 - 90]
      if (all && (within(a, lon, lat) || within(b, lon, lat))) {
        expect(within([all[0] - 1e-9, all[1], all[2] + 1e-9, all[3]], lon, lat), JSON.stringify([a, b, all, lon, lat])).toBe(true)
      }
    }
  }
  expect(union([{ bbox: [170, 0, 175, 1] }, { bbox: [-178, 0, -170, 1] }]).bbox).toEqual([170, 0, -170, 1])
  expect(union([{ bbox: [0, 0, 10, 1] }, { bbox: [2, 0, 5, 2] }]).bbox).toEqual([0, 0, 10, 2])
})
