// The geofences that the person may see, as the gateway keeps them (bridge/rules), and as the map draws them.

import type { Feature, FeatureCollection, Position } from 'geojson'
import { get, isAbsent } from './api.ts'
import { Signal } from './store.ts'

export interface Geometry {
  type: 'circle' | 'polygon' | 'corridor'
  center?: [number, number]
  radius?: number // m
  coordinates?: Position[][]
  line?: Position[]
  width?: number // m
}

export interface Fence { id: string, name?: string, fleets?: string[], geometry: Geometry, revision?: number }

// The stream does not tell of fences: others' changes are seen after this.
const RELOAD = 60_000
const PAGE = 1000
const CORNERS = 72
const METRES_A_DEGREE = 111_320

export class Fences extends Signal {
  list: Fence[] = []
  available = false
  private timer: ReturnType<typeof setInterval> | undefined

  async load(): Promise<void> {
    try {
      const { fences } = await get<{ fences: Fence[] }>(`/api/fences?limit=${PAGE}`)
      this.available = true
      this.list = fences
      this.emit()
    } catch (error) {
      if (!isAbsent(error)) console.info('The geofences could not be read.', error)
    }
  }

  start(): void {
    void this.load()
    clearInterval(this.timer)
    this.timer = setInterval(() => { if (!document.hidden && this.available) void this.load() }, RELOAD)
  }

  collection(): FeatureCollection {
    return { type: 'FeatureCollection', features: this.list.flatMap(featureOf) }
  }
}

export const fences = new Fences()

export function featureOf(fence: Fence): Feature[] {
  const properties = { id: fence.id, name: fence.name ?? fence.id }
  const { geometry: g } = fence
  if (g.type === 'circle' && g.center && g.radius) {
    return [{ type: 'Feature', properties, geometry: { type: 'Polygon', coordinates: [circleAround(g.center, g.radius)] } }]
  }
  if (g.type === 'polygon' && g.coordinates) return [{ type: 'Feature', properties, geometry: { type: 'Polygon', coordinates: g.coordinates } }]
  if (g.type === 'corridor' && g.line && g.width) {
    return [{ type: 'Feature', properties, geometry: { type: 'MultiPolygon', coordinates: corridor(g.line, g.width / 2) } }]
  }
  return []
}

export function circleAround([lon = 0, lat = 0]: Position, radius: number): Position[] {
  const ring: Position[] = []
  const high = radius / METRES_A_DEGREE
  const wide = high / Math.max(0.01, Math.cos(lat * Math.PI / 180))
  for (let i = 0; i <= CORNERS; i++) {
    const angle = i / CORNERS * 2 * Math.PI
    ring.push([lon + wide * Math.sin(angle), lat + high * Math.cos(angle)])
  }
  return ring
}

// What is at most so far from a line: a circle at each of its places and a band along each of its pieces.
function corridor(line: Position[], radius: number): Position[][][] {
  const out = line.map(place => [circleAround(place, radius)])
  for (let i = 1; i < line.length; i++) {
    const [a, b] = [line[i - 1]!, line[i]!]
    const shrink = Math.max(0.01, Math.cos((a[1]! + b[1]!) / 2 * Math.PI / 180))
    const [dx, dy] = [(b[0]! - a[0]!) * shrink, b[1]! - a[1]!]
    const length = Math.hypot(dx, dy)
    if (length === 0) continue
    const off = radius / METRES_A_DEGREE / length
    const [nx, ny] = [-dy * off / shrink, dx * off]
    const corner = (p: Position, sign: number): Position => [p[0]! + nx * sign, p[1]! + ny * sign]
    out.push([[corner(a, 1), corner(b, 1), corner(b, -1), corner(a, -1), corner(a, 1)]])
  }
  return out
}
