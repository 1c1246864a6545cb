import { describe, expect, it } from 'vitest'
import { cluster, clusterLevel } from '../src/map/clusters.ts'
import { Fleet, type Status } from '../src/state/fleet.ts'

function fleetAt(places: [number, number, Status?][]): Fleet {
  const fleet = new Fleet()
  places.forEach(([lat, lon, status = 'online'], i) => fleet.put({ id: `d${i}`, fleet: 'f', status, received: 0, lat, lon }, 0))
  return fleet
}

describe('clusters', () => {
  it('gather what lies on each other and leave pairs and the lonely alone', () => {
    const fleet = fleetAt([[48, 2], [48.1, 2.1], [48.05, 2, 'offline'], [10, 100], [10.01, 100]])
    const { clusters, hidden } = cluster(fleet, 3, -1)
    expect(clusters).toMatchObject([{ count: 3, online: 2, offline: 1 }])
    expect([...hidden]).toEqual([1, 1, 1, 0, 0])
  })

  it('hold every asset once: in a bubble or as a pin', () => {
    const places: [number, number][] = Array.from({ length: 5000 }, (_, i) => [((i * 7919) % 1200) / 10 - 60, ((i * 104729) % 3600) / 10 - 180])
    const fleet = fleetAt(places)
    for (const level of [0, 1.5, 3, 5, 9]) {
      const { clusters, hidden } = cluster(fleet, level, -1)
      const inside = clusters.reduce((sum, c) => sum + c.count, 0)
      expect(inside).toBe(hidden.reduce((sum, h) => sum + h, 0))
      for (const c of clusters) expect(c.online).toBe(c.count)
    }
  })

  it('reach over the antimeridian', () => {
    const { clusters } = cluster(fleetAt([[0, 179.9], [0, -179.9], [0, 180]]), 3, -1)
    expect(clusters).toMatchObject([{ count: 3 }])
    expect(clusters[0]!.east - clusters[0]!.west).toBeLessThan(0.01)
  })

  it('never swallow the selected one, and show the worst alert', () => {
    const fleet = fleetAt([[1, 1], [1, 1], [1, 1], [1, 1]])
    fleet.get('d2')!.alert = 3
    const { clusters, hidden } = cluster(fleet, 2, 0)
    expect([hidden[0], clusters[0]!.count, clusters[0]!.alert]).toEqual([0, 3, 3])
  })

  it('hide far out what the filter does not let through, and nothing near', () => {
    const fleet = fleetAt([[1, 1], [2, 2]])
    fleet.get('d1')!.match = false
    expect([...cluster(fleet, 2, -1).hidden]).toEqual([0, 1])
    expect(clusterLevel(13)).toBe(Infinity)
    expect([...cluster(fleet, Infinity, -1).hidden]).toEqual([0, 0])
  })
})
