import { describe, expect, it } from 'vitest'
import { mercatorX, mercatorY } from '../src/geo.ts'
import { Fleet, type Asset } from '../src/state/fleet.ts'

const asset = (id: string, lat: number | undefined, lon: number | undefined, more: Partial<Asset> = {}): Asset =>
  ({ id, fleet: 'north', status: 'online', received: 1000, lat, lon, ...more })

describe('the fleet', () => {
  it('glides from fix to fix and stops at the last: nothing is drawn ahead of what a device said', () => {
    const fleet = new Fleet()
    fleet.put(asset('a', 0, 10), 0)
    fleet.put(asset('a', 0, 10.01), 1000)
    const slot = fleet.get('a')!.slot
    expect(fleet.locate(slot, 1000).x).toBeCloseTo(mercatorX(10), 9)
    expect(fleet.locate(slot, 1550).x).toBeCloseTo(mercatorX(10.005), 9)
    expect(fleet.movingUntil).toBe(2100)
    for (const later of [2100, 5000, 1e9]) expect(fleet.locate(slot, later).x).toBe(mercatorX(10.01))
  })

  it('goes on from where a pin is, not from where it should be', () => {
    const fleet = new Fleet()
    fleet.put(asset('a', 0, 0), 0)
    fleet.put(asset('a', 0, 0.01), 1000)
    const slot = fleet.get('a')!.slot
    const before = fleet.locate(slot, 1400).x
    fleet.put(asset('a', 0, 0.02), 1400)
    expect(fleet.locate(slot, 1400).x).toBe(before)
  })

  it('does not slide across a continent', () => {
    const fleet = new Fleet()
    fleet.put(asset('a', 50, 10), 0)
    fleet.put(asset('a', -30, 150), 1000)
    expect(fleet.locate(fleet.get('a')!.slot, 1001).y).toBe(mercatorY(-30))
  })

  it('crosses the antimeridian and north by the shorter way', () => {
    const fleet = new Fleet()
    fleet.put(asset('a', 0, 179.995, { heading: 350 }), 0)
    fleet.put(asset('a', 0, -179.995, { heading: 10 }), 1000)
    const at = fleet.locate(fleet.get('a')!.slot, 1275)
    expect(Math.abs(at.x % 1)).toBeLessThan(1.01)
    expect(at.x).toBeGreaterThan(mercatorX(179.99))
    expect(((at.heading % 360) + 360) % 360).toBeCloseTo(0, 3)
  })

  it('shows no arrow for what stands or has no heading', () => {
    const fleet = new Fleet()
    fleet.put(asset('a', 0, 0, { heading: 90, speed: 0.1 }), 0)
    fleet.put(asset('b', 0, 0), 0)
    fleet.put(asset('c', 0, 0, { heading: 90 }), 0)
    expect(['a', 'b', 'c'].map(id => fleet.locate(fleet.get(id)!.slot, 0).heading)).toEqual([NaN, NaN, 90])
  })

  it('counts by status and fleet, and uses slots again', () => {
    const fleet = new Fleet()
    for (let i = 0; i < 3000; i++) fleet.put(asset(`d${i}`, 1, 1), 0)
    expect([fleet.size, fleet.counts.online, fleet.fleets.get('north'), fleet.placedCount]).toEqual([3000, 3000, 3000, 3000])
    fleet.put(asset('d0', 1, 1, { status: 'offline', fleet: 'south' }), 1)
    expect([fleet.counts.online, fleet.counts.offline, fleet.fleets.get('south')]).toEqual([2999, 1, 1])
    const { slot } = fleet.get('d7')!
    fleet.remove('d7')
    fleet.remove('d7')
    fleet.put(asset('new', undefined, undefined), 2)
    expect([fleet.get('new')!.slot, fleet.size, fleet.placed[slot], fleet.slots]).toEqual([slot, 3000, 0, 3000])
    fleet.clear()
    expect([fleet.size, fleet.placedCount, fleet.counts.online, fleet.fleets.size]).toEqual([0, 0, 0, 0])
  })

  it('takes nothing that is no asset', () => {
    const fleet = new Fleet()
    for (const odd of [null, 7, 'x', [], {}, { id: 9 }]) expect(fleet.put(odd as never, 0)).toBe(false)
    fleet.put({ id: '__proto__', fleet: 'f', status: 'odd', received: 'x', lat: '<b>', lon: [], name: 7 } as never, 0)
    expect(fleet.get('__proto__')).toMatchObject({ status: 'unknown', label: '__proto__' })
    expect(fleet.placedCount).toBe(0)
  })

  it('tells which slots the map has to take, once each', () => {
    const fleet = new Fleet()
    fleet.put(asset('a', 0, 0), 0)
    fleet.put(asset('a', 1, 1), 1)
    fleet.put(asset('b', 1, 1), 1)
    expect(fleet.takeDirty().sort()).toEqual([0, 1])
    expect(fleet.takeDirty()).toEqual([])
  })
})
