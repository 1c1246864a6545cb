import { describe, expect, it } from 'vitest'
import { graticule, niceStep } from '../src/map/layers.ts'
import { polygons } from '../src/map/outlines.ts'
import { parseTrail, Trail } from '../src/map/trail.ts'
import { hrefOf, parseRoute } from '../src/state/route.ts'
import { widen } from '../src/geo.ts'

const square = (x: number, size: number, turned = false): [number, number][] => {
  const ring: [number, number][] = [[x, 0], [x + size, 0], [x + size, size], [x, size]]
  return turned ? ring.reverse() : ring
}

describe('the map', () => {
  it('gives holes to the polygon that they are cut from', () => {
    expect(polygons([square(0, 10), square(1, 2, true), square(20, 5)]).map(p => p.length)).toEqual([2, 1])
  })

  it('draws a graticule of about seven lines at every zoom', () => {
    for (const zoom of [1, 4, 8, 12, 16]) {
      const lines = graticule({ x: 0.52, y: 0.35, scale: 512 * 2 ** zoom, zoom, width: 1200, height: 800 }).features.length
      expect(lines).toBeGreaterThan(4)
      expect(lines).toBeLessThan(60)
    }
    expect([niceStep(40), niceStep(7), niceStep(0.0004)]).toEqual([30, 5, 0.001])
  })

  it('reads a trail whole, cut at 180° or of one place', () => {
    const times = ['2026-01-01T00:00:00.000Z', '2026-01-01T00:00:10.000Z']
    const line = parseTrail({ geometry: { type: 'LineString', coordinates: [[1, 2], [3, 4]] }, properties: { coordTimes: times, speeds: [5, null] } })
    expect(line).toMatchObject([{ lon: 1, lat: 2, speed: 5 }, { lon: 3, lat: 4, speed: null, altitude: null }])
    expect(line[1]!.at - line[0]!.at).toBe(10_000)
    expect(parseTrail({ geometry: { type: 'MultiLineString', coordinates: [[[179, 0]], [[-179, 0]]] }, properties: { coordTimes: [[times[0]], [times[1]]] } })).toHaveLength(2)
    expect(parseTrail({ geometry: { type: 'Point', coordinates: [1, 2] }, properties: { coordTimes: [times[0]] } })).toHaveLength(1)
    expect(parseTrail({ geometry: null, properties: {} })).toEqual([])
  })

  it('goes on with each fix, in order, and does not cross the map at 180°', () => {
    const trail = new Trail()
    trail.id = 'a'
    const at = (time: number, lon: number) => trail.follow({ id: 'a', fleet: 'f', status: 'online', received: time, at: time, lat: 0, lon })
    at(1, 179)
    at(2, -179)
    at(2, -178) // the same moment again
    at(3, -178)
    expect(trail.points.map(p => p.lon)).toEqual([179, -179, -178])
    expect(trail.line().features[0]!.geometry).toMatchObject({ coordinates: [[179, 0], [181, 0]] })
    expect(trail.tail()!.lon).toBe(-179)
  })

  it('writes ids into addresses and reads them again', () => {
    for (const id of ['truck-17', 'ann:phone', 'a b/c#d?e%', 'Zoë']) expect(parseRoute(hrefOf('map', id))).toEqual({ name: 'map', arg: id })
    expect(parseRoute('')).toEqual({ name: 'map', arg: '' })
    expect(parseRoute('#/map/%zz')).toEqual({ name: 'map', arg: '' })
  })
})

describe('the viewport of a large fleet', () => {
  it('is wider than the window, may cross 180°, and is all of the world where that is in sight', () => {
    expect(widen([0, 0, 10, 10])).toEqual([-3, -3, 13, 13])
    expect(widen([170, -80, 190, -70])).toEqual([164, -83, -164, -67])
    expect(widen([-170, -80, 170, 80])).toBe(null)
  })
})
