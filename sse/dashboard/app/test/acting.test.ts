import { expect, test } from 'vitest'
import { idOf, patchOf } from '../src/acting/api.ts'
import { changesOf, draftOf, ruleOf } from '../src/acting/draft.ts'
import { circleRing, corridorRing, metresBetween, outlineOf, parsePlaces, tidy, writePlaces, type Place } from '../src/acting/geometry.ts'
import type { Rule } from '../src/acting/lists.ts'
import { ownTracksId, ownTracksLink } from '../src/acting/owntracks.ts'
import { Sketch } from '../src/acting/sketch.ts'
import { beliefOf, hygieneOf } from '../src/acting/Extras.tsx'
import { numbersOf, parseMetadata, parseRules, textsOf, writeMetadata, writeRules } from '../src/acting/texts.ts'
import { alertInWords, fromBase, inWords, secondsInWords, splitSeconds, toBase, unitsOf } from '../src/units.ts'

test('what an alert found is told in the units of people', () => {
  expect(alertInWords('speed 24.76 is above 24')).toBe('speed 89.14 km/h is above 86.4 km/h')
  expect(alertInWords('battery 19 is no longer below 20')).toBe('battery 19% is no longer below 20%')
  expect(alertInWords('metrics.cargo_temp -3.5 is below 2')).toBe('cargo temp -3.5 is below 2')
  for (const text of ['', 'offline', 'inside Paris', 'speed > 24', 'speed fast is above 24', 'speed 24 is above 24, or so']) expect(alertInWords(text)).toBe(text)
})

test('speeds are typed in km/h and kept in m/s, and come back as they were typed', () => {
  const [kmh] = unitsOf('speed')
  for (const typed of [90, 50, 7, 33.3, 130]) expect(fromBase(toBase(typed, kmh!), kmh!)).toBe(typed)
  expect(toBase(90, kmh!)).toBe(25)
  expect(inWords('speed', 25)).toBe('90 km/h')
  expect(inWords('battery', 20)).toBe('20%')
  expect(inWords('metrics.fuel', 4.5)).toBe('4.5')
  expect([splitSeconds(7200), splitSeconds(90), splitSeconds(0)]).toEqual([{ value: 2, unit: 3600 }, { value: 90, unit: 1 }, { value: 0, unit: 1 }])
  expect(secondsInWords(300)).toBe('5 min')
})

test('a rule goes into the form and comes out as it was', () => {
  const rules: Rule[] = [
    { id: 'a', name: 'Too fast', severity: 'critical', fleets: ['north'], when: { type: 'threshold', field: 'speed', above: 25, hysteresis: 2.5 }, for_s: 600 },
    { id: 'b', severity: 'warning', when: { type: 'threshold', field: 'battery', below: 0 } },
    { id: 'c', severity: 'info', devices: ['x', 'y:z'], when: { type: 'threshold', field: 'metrics.oil.temp', above: 110.5 }, for_s: 7 },
    { id: 'd', severity: 'warning', when: { type: 'fence', fence: 'depot', on: 'dwell', hysteresis: 20 }, for_s: 3600 },
    { id: 'e', severity: 'warning', when: { type: 'offline' }, for_s: 300 },
    { id: 'f', severity: 'warning', when: { type: 'expression', expression: 'speed > 20' } },
  ]
  for (const rule of rules) {
    const { id: _, ...rest } = rule
    expect(ruleOf(draftOf(rule))).toEqual(rest)
    expect(changesOf(rule, ruleOf(draftOf(rule)))).toEqual({})
  }
})

test('what is no number is refused at its field', () => {
  const refusal = (part: object) => {
    try {
      ruleOf({ ...draftOf(null), limit: '5', ...part })
      return ''
    } catch (error) {
      return (error as { field: string }).field
    }
  }
  expect([refusal({}), refusal({ limit: '' }), refusal({ limit: 'fast' }), refusal({ hold: 'x' }), refusal({ back: '1e999' })]).toEqual(['', 'when.above', 'when.above', 'for_s', 'when.hysteresis'])
  expect(ruleOf({ ...draftOf(null), limit: '7,2' }).when.above).toBe(2)
})

test('a change of type leaves nothing of the condition before', () => {
  const rule: Rule = { id: 'a', severity: 'warning', when: { type: 'threshold', field: 'speed', above: 25 }, for_s: 5, revision: 7 }
  const next = ruleOf({ ...draftOf(rule), type: 'offline', hold: '0' })
  expect(changesOf(rule, next)).toEqual({ for_s: null, when: { type: 'offline', field: null, above: null } })
})

test('a patch says what is new, and null for what is gone', () => {
  expect(patchOf({ a: 1, b: { c: 1, d: 2 }, e: [1], f: 1 }, { a: 1, b: { c: 1, d: 3 }, e: [2] })).toEqual({ b: { d: 3 }, e: [2], f: null })
})

test('ids are made of names and are nobody else’s', () => {
  expect(idOf('Dépôt Süd!', () => false)).toBe('depot-sud')
  expect(idOf('', () => false)).toBe('place')
  expect(idOf('depot', id => id === 'depot' || id === 'depot-2')).toBe('depot-3')
})

const near = (a: number, b: number, slack: number) => expect(Math.abs(a - b)).toBeLessThan(slack)

test('a circle is as wide as its radius says, anywhere', () => {
  for (const center of [[2.35, 48.85], [0, 0], [179.999, -33], [-70, 78]] as Place[]) {
    for (const p of circleRing(center, 500)) near(metresBetween(center, p as unknown as Place), 500, 3)
  }
})

test('a corridor holds what is half its width away from the line, and no more', () => {
  const line: Place[] = [[2, 48], [2.02, 48.01], [2.04, 48], [2.04, 47.98], [2.02, 47.985]]
  const ring = corridorRing(line, 400)
  expect(ring[0]).toEqual(ring.at(-1))
  const within = (lon: number, lat: number) => {
    let inside = false
    for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
      const [xi, yi, xj, yj] = [ring[i]![0]!, ring[i]![1]!, ring[j]![0]!, ring[j]![1]!]
      if (yi > lat !== yj > lat && lon < (xj - xi) * (lat - yi) / (yj - yi) + xi) inside = !inside
    }
    return inside
  }
  for (const [lon, lat] of line.slice(1, -1)) expect(within(lon, lat)).toBe(true)
  for (const p of ring) {
    const least = Math.min(...line.slice(1).map((b, i) => distanceTo(p as unknown as Place, line[i]!, b)))
    expect(least).toBeGreaterThan(190)
    expect(least).toBeLessThan(420) // inside of a sharp bend the sides meet a little farther out
  }
})

function distanceTo(p: Place, a: Place, b: Place): number {
  let least = Infinity
  for (let i = 0; i <= 200; i++) least = Math.min(least, metresBetween(p, [a[0] + (b[0] - a[0]) * i / 200, a[1] + (b[1] - a[1]) * i / 200]))
  return least
}

test('a shape without enough places has no outline', () => {
  expect(outlineOf({ type: 'circle', center: [2, 48], radius: 0 })).toBe(null)
  expect(outlineOf({ type: 'polygon', coordinates: [[[2, 48], [3, 48], [2, 48]]] })).toBe(null)
  expect(outlineOf({ type: 'corridor', line: [[2, 48]], width: 10 })).toBe(null)
})

test('places are written as latitude, longitude, and read with any separator', () => {
  expect(parsePlaces('48.85, 2.35\n\n -33.9;151.2\n1 2\n')).toEqual({ places: [[2.35, 48.85], [151.2, -33.9], [2, 1]], bad: 0 })
  expect(parsePlaces('48.85, 2.35\nx').bad).toBe(2)
  expect(parsePlaces('91, 2').bad).toBe(1)
  expect(writePlaces([[2.35, 48.85]])).toBe('48.85, 2.35')
  expect(tidy([181.00000049, 95])).toEqual([-179, 90])
})

test('the link of OwnTracks holds the configuration', () => {
  expect([ownTracksId('ann:phone'), ownTracksId('truck-1'), ownTracksId('a:b:c'), ownTracksId(':x')]).toEqual([{ user: 'ann', device: 'phone' }, null, null, null])
  const link = ownTracksLink({ id: 'änn:phone', token: 't+/', host: 'h.example', port: 8883, tls: true })
  const inline = decodeURIComponent(link.replace('owntracks:///config?inline=', ''))
  expect(JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(inline), c => c.charCodeAt(0))))).toMatchObject({
    _type: 'configuration', mode: 0, host: 'h.example', port: 8883, tls: true, auth: true, username: 'änn:phone', password: 't+/', deviceId: 'phone', pubTopicBase: 'owntracks/änn/phone',
  })
})

test('a hole of a polygon outlives the edit of its corners, and can be filled', () => {
  const hole: [number, number][] = [[2.352, 48.852], [2.354, 48.852], [2.354, 48.854], [2.352, 48.852]]
  const outer: [number, number][] = [[2.35, 48.85], [2.36, 48.85], [2.36, 48.86], [2.35, 48.85]]
  const sketch = new Sketch({ type: 'polygon', coordinates: [outer, hole] })
  expect(sketch.geometry().coordinates).toEqual([outer, hole])
  sketch.setPlaces([[2.34, 48.85], ...sketch.places.slice(1)])
  expect(sketch.geometry().coordinates?.[1]).toEqual(hole)
  sketch.setType('circle')
  sketch.setType('polygon')
  expect(sketch.geometry().coordinates).toHaveLength(2)
  sketch.fillHoles()
  expect(sketch.geometry().coordinates).toHaveLength(1)
  sketch.undo()
  expect(sketch.geometry().coordinates?.[1]).toEqual(hole)
})

test('numbers that may be left out, notes and topics come back as they were', () => {
  const fleet = { limits: { burst_s: 0, bytes_per_second: 1000 }, silence_s: 60 }
  const paths = ['limits.burst_s', 'limits.bytes_per_second', 'limits.messages_per_second', 'silence_s']
  expect(numbersOf(textsOf(fleet, paths))).toEqual(fleet)
  expect(numbersOf({ 'limits.burst_s': ' ', silence_s: '' })).toEqual({})
  expect(() => numbersOf({ 'limits.burst_s': 'many' })).toThrow()
  const notes = { plate: 'AB 1 = 2', owner: 'Ann' }
  expect(parseMetadata(writeMetadata(notes))).toEqual(notes)
  expect(parseMetadata('\n')).toBeUndefined()
  expect(() => parseMetadata('plate')).toThrow('Line 1')
  const rules = [{ filter: 'a/#', publish: true }, { filter: 'b/+/c d', subscribe: true }, { filter: 'e', publish: true, subscribe: true }]
  expect(parseRules(writeRules(rules))).toEqual(rules)
  for (const bad of ['a/#', 'pub', 'all a/#']) expect(() => parseRules(`sub ok\n${bad}`)).toThrow('Line 2')
})

test('the area and the rules that are off go into the form and come out as they were', () => {
  for (const hygiene of [{}, { bbox: [5.9, 45.8, 10.5, 47.8] }, { bbox: [170, -50, -170, -30], off: ['jump', 'zone'] }]) expect(hygieneOf(beliefOf(hygiene))).toEqual(hygiene)
  expect(hygieneOf({ box: ' 1 2;3, 4 ', off: [] })).toEqual({ bbox: [1, 2, 3, 4] })
  for (const box of ['1, 2, 3', '1, 2, 3, 4, 5', 'a, 2, 3, 4']) expect(() => hygieneOf({ box, off: [] })).toThrow('Four numbers')
})
