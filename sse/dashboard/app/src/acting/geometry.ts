// Shapes of geofences as outlines on the map. The gateway decides what is inside; this only draws it, so a flat piece of
// the earth around the shape is exact enough.

import type { Feature, FeatureCollection, Polygon, Position } from 'geojson'

export type Place = readonly [lon: number, lat: number]
export type ShapeType = 'circle' | 'polygon' | 'corridor'

/** As the gateway keeps it. Places are [longitude, latitude]. */
export interface Geometry {
  type: ShapeType
  center?: [number, number]
  radius?: number // m
  coordinates?: [number, number][][] // rings, each closed
  line?: [number, number][]
  width?: number // m
}

const METRES_PER_DEGREE = 111_195
const CORNERS = 72 // of a circle
const CAP = 12 // of a half circle

interface Plane { to(place: Place): [number, number], from(x: number, y: number): Place }

/** Metres to the east and to the north of a place; the short way around the world. */
export function planeAt([lon0, lat0]: Place): Plane {
  const k = Math.max(0.01, Math.cos(lat0 * Math.PI / 180)) * METRES_PER_DEGREE
  return {
    to: ([lon, lat]) => [(((lon - lon0 + 540) % 360 + 360) % 360 - 180) * k, (lat - lat0) * METRES_PER_DEGREE],
    from: (x, y) => [lon0 + x / k, lat0 + y / METRES_PER_DEGREE],
  }
}

export function metresBetween(a: Place, b: Place): number {
  const middle = (a[1] + b[1]) / 2
  const [x, y] = planeAt([a[0], middle]).to([b[0], middle + b[1] - a[1]])
  return Math.hypot(x, y)
}

export function circleRing(center: Place, radius: number): Position[] {
  const plane = planeAt(center)
  return Array.from({ length: CORNERS + 1 }, (_, i) => {
    const angle = i / CORNERS * 2 * Math.PI
    return [...plane.from(Math.sin(angle) * radius, Math.cos(angle) * radius)]
  })
}

/** What is at most half the width away from the line: along one side, around the end, and back along the other. */
export function corridorRing(line: readonly Place[], width: number): Position[] {
  const first = line[0]
  if (!first) return []
  const plane = planeAt(first)
  const points = line.map(plane.to).filter((p, i, all) => i === 0 || Math.hypot(p[0] - all[i - 1]![0], p[1] - all[i - 1]![1]) > 0.01)
  const half = width / 2
  if (points.length === 1) return circleRing(first, half)
  const ring = [...side(points, half), ...side([...points].reverse(), half)].map(([x, y]) => [...plane.from(x, y)])
  return [...ring, ring[0]!]
}

type Point = [number, number]

// The left side of a line, with the half circle around its end.
function side(points: readonly Point[], half: number): Point[] {
  const out: Point[] = []
  const angles = points.slice(1).map((p, i) => Math.atan2(p[1] - points[i]![1], p[0] - points[i]![0]))
  const left = (p: Point, angle: number): Point => [p[0] - Math.sin(angle) * half, p[1] + Math.cos(angle) * half]
  points.forEach((p, i) => {
    const before = angles[i - 1]
    const after = angles[i]
    if (before === undefined) out.push(left(p, after!))
    else if (after === undefined) arc(out, p, half, before + Math.PI / 2, before - Math.PI / 2)
    else {
      const turn = Math.atan2(Math.sin(after - before), Math.cos(after - before))
      if (turn <= 0) arc(out, p, half, before + Math.PI / 2, before + Math.PI / 2 + turn)
      else {
        // Inside of the bend the sides meet where they cross, as far as they do.
        const cross = half / Math.cos(turn / 2)
        const middle = before + turn / 2 + Math.PI / 2
        const most = Math.max(half, Math.min(cross, half * 4))
        out.push([p[0] + Math.cos(middle) * most, p[1] + Math.sin(middle) * most])
      }
    }
  })
  return out
}

function arc(out: Point[], p: Point, radius: number, from: number, to: number): void {
  const steps = Math.max(1, Math.ceil(Math.abs(to - from) / Math.PI * CAP))
  for (let i = 0; i <= steps; i++) {
    const angle = from + (to - from) * i / steps
    out.push([p[0] + Math.cos(angle) * radius, p[1] + Math.sin(angle) * radius])
  }
}

/** The outline of a shape, or null where it has none yet. */
export function outlineOf(g: Geometry): Polygon | null {
  if (g.type === 'circle') return g.center && g.radius ? { type: 'Polygon', coordinates: [circleRing(g.center, g.radius)] } : null
  if (g.type === 'corridor') return g.line && g.line.length > 1 && g.width ? { type: 'Polygon', coordinates: [corridorRing(g.line, g.width)] } : null
  const rings = g.coordinates?.filter(ring => ring.length > 3)
  return rings?.length ? { type: 'Polygon', coordinates: rings } : null
}

export function boundsOf(g: Geometry): [[number, number], [number, number]] | null {
  const ring = outlineOf(g)?.coordinates[0]
  if (!ring) return null
  const lons = ring.map(p => p[0]!)
  const lats = ring.map(p => p[1]!)
  return [[Math.min(...lons), Math.min(...lats)], [Math.max(...lons), Math.max(...lats)]]
}

export function collectionOf(fences: readonly { id: string, name?: string, geometry: Geometry }[]): FeatureCollection {
  const features: Feature[] = []
  for (const { id, name, geometry } of fences) {
    const outline = outlineOf(geometry)
    if (outline) features.push({ type: 'Feature', properties: { id, name: name ?? id }, geometry: outline })
  }
  return { type: 'FeatureCollection', features }
}

/** "48.85, 2.29" lines to places; the number of the first line that is none. */
export function parsePlaces(text: string): { places: Place[], bad: number } {
  const places: Place[] = []
  const lines = text.split('\n')
  for (const [i, line] of lines.entries()) {
    if (line.trim() === '') continue
    const parts = line.trim().split(/[\s,;]+/).map(Number)
    const [lat = NaN, lon = NaN] = parts
    if (parts.length !== 2 || !(Math.abs(lat) <= 90) || !(Math.abs(lon) <= 180)) return { places, bad: i + 1 }
    places.push([lon, lat])
  }
  return { places, bad: 0 }
}

export function writePlaces(places: readonly Place[]): string {
  return places.map(([lon, lat]) => `${round(lat)}, ${round(lon)}`).join('\n')
}

/** Six decimals are a tenth of a metre. A place may have been moved over 180°. */
export function tidy([lon, lat]: Place): [number, number] {
  return [round(((lon + 540) % 360 + 360) % 360 - 180), round(Math.max(-90, Math.min(90, lat)))]
}

function round(degrees: number): number {
  return Math.round(degrees * 1e6) / 1e6
}
