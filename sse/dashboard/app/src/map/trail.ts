// The trail of the selected asset: asked for once, and then longer with each fix of the stream.

import type { FeatureCollection, Position } from 'geojson'
import { get } from '../state/api.ts'
import { isNumber, type Asset } from '../state/fleet.ts'
import { Signal } from '../state/store.ts'

export interface Point { at: number, lon: number, lat: number, speed: number | null, altitude: number | null }

interface TrailFeature {
  geometry: null | { type: 'Point', coordinates: Position } | { type: 'LineString', coordinates: Position[] } | { type: 'MultiLineString', coordinates: Position[][] }
  properties: { coordTimes?: unknown[], speeds?: unknown[], altitudes?: unknown[] }
}

const MAX_POINTS = 5000
const LIMIT = 2000

export class Trail extends Signal {
  id = ''
  points: Point[] = []
  loading = false
  private asked = 0

  async show(id: string): Promise<void> {
    if (id === this.id) return
    this.id = id
    this.points = []
    const ask = ++this.asked
    this.loading = id !== ''
    this.emit()
    if (id === '') return
    try {
      const feature = await get<TrailFeature>(`/api/assets/${encodeURIComponent(id)}/trail?limit=${LIMIT}`)
      if (ask !== this.asked) return
      const heard = this.points // meanwhile
      this.points = parseTrail(feature)
      for (const point of heard) this.push(point)
    } catch {
      // without one the trail begins here
    }
    if (ask !== this.asked) return
    this.loading = false
    this.emit()
  }

  // Takes the newest of the selected asset.
  follow(asset: Asset): void {
    if (asset.id !== this.id || !isNumber(asset.lat) || !isNumber(asset.lon)) return
    const at = isNumber(asset.at) ? asset.at : asset.received
    if (this.push({ at, lon: asset.lon, lat: asset.lat, speed: isNumber(asset.speed) ? asset.speed : null, altitude: isNumber(asset.altitude) ? asset.altitude : null })) this.emit()
  }

  // All but the newest place: the map draws from the last of these to where the pin is on its way.
  line(): FeatureCollection {
    const lines = cut(this.points.slice(0, -1))
    return { type: 'FeatureCollection', features: lines.filter(l => l.length > 1).map(coordinates => ({ type: 'Feature', properties: {}, geometry: { type: 'LineString', coordinates } })) }
  }

  tail(): Point | null {
    return this.points.at(-2) ?? null
  }

  private push(point: Point): boolean {
    const last = this.points.at(-1)
    if (last && (point.at <= last.at || (point.lon === last.lon && point.lat === last.lat && point.speed === last.speed))) return false
    this.points.push(point)
    if (this.points.length > MAX_POINTS) this.points.splice(0, this.points.length - MAX_POINTS)
    return true
  }
}

export function parseTrail(feature: TrailFeature): Point[] {
  const { geometry, properties } = feature
  if (geometry === null) return []
  const places = geometry.type === 'Point' ? [geometry.coordinates] : geometry.type === 'LineString' ? geometry.coordinates : geometry.coordinates.flat()
  const times = (properties.coordTimes ?? []).flat()
  const speeds = (properties.speeds ?? []).flat()
  const altitudes = (properties.altitudes ?? []).flat()
  const points: Point[] = []
  places.forEach((place, i) => {
    const at = Date.parse(String(times[i]))
    if (!isNumber(place[0]) || !isNumber(place[1]) || !Number.isFinite(at)) return
    points.push({ at, lon: place[0], lat: place[1], speed: numberOrNull(speeds[i]), altitude: numberOrNull(altitudes[i]) })
  })
  return points
}

function numberOrNull(value: unknown): number | null {
  return isNumber(value) ? value : null
}

// A line that crosses 180° goes on beyond it: cut into a world's width it would cross the whole map.
function cut(points: Point[]): Position[][] {
  const line: Position[] = []
  let turns = 0
  points.forEach((p, i) => {
    const step = i === 0 ? 0 : p.lon - points[i - 1]!.lon
    if (Math.abs(step) > 180) turns -= Math.sign(step)
    line.push([p.lon + 360 * turns, p.lat])
  })
  return [line]
}
