// Reads /outlines.json and /places.json, which scripts/outlines.cjs writes at build time, and makes GeoJSON of them. A
// build without them has a map without land: the graticule is then all there is.

import type { Feature, FeatureCollection, Position } from 'geojson'

interface Outlines { scale: number, land: number[][], borders: number[][] }
interface Places { countries: [string, number, number, number][], cities: [string, number, number, number][] }

export interface World { land: FeatureCollection, borders: FeatureCollection, places: FeatureCollection }

async function read<T>(url: string): Promise<T | null> {
  try {
    const answer = await fetch(url)
    return answer.ok ? await answer.json() as T : null
  } catch {
    return null
  }
}

export async function loadWorld(): Promise<World | null> {
  const [outlines, places] = await Promise.all([read<Outlines>('/outlines.json'), read<Places>('/places.json')])
  if (!outlines) return null
  return {
    land: collect(polygons(outlines.land.map(steps => decode(steps, outlines.scale))).map(rings => ({
      type: 'Feature', properties: {}, geometry: { type: 'Polygon', coordinates: rings },
    }))),
    borders: collect(outlines.borders.map(steps => ({
      type: 'Feature', properties: {}, geometry: { type: 'LineString', coordinates: decode(steps, outlines.scale) },
    }))),
    places: collect(places ? [...places.countries.map(p => place(p, 'country')), ...places.cities.map(p => place(p, 'city'))] : []),
  }
}

function collect(features: Feature[]): FeatureCollection {
  return { type: 'FeatureCollection', features }
}

function place([name, lon, lat, rank]: [string, number, number, number], kind: string): Feature {
  return { type: 'Feature', properties: { name, rank, kind }, geometry: { type: 'Point', coordinates: [lon, lat] } }
}

function decode(steps: number[], scale: number): Position[] {
  const out: Position[] = []
  let lon = 0
  let lat = 0
  for (let i = 0; i + 1 < steps.length; i += 2) {
    lon += steps[i]!
    lat += steps[i + 1]!
    out.push([lon / scale, lat / scale])
  }
  return out
}

// The file has rings in the order of their polygons, a hole turning the other way than what it is cut from.
export function polygons(rings: Position[][]): Position[][][] {
  const areas = rings.map(area)
  const outer = areas.reduce((most, a) => Math.abs(a) > Math.abs(most) ? a : most, 0) > 0
  const out: Position[][][] = []
  rings.forEach((ring, i) => {
    if (out.length > 0 && areas[i]! > 0 !== outer) out[out.length - 1]!.push(ring)
    else out.push([ring])
  })
  return out
}

function area(ring: Position[]): number {
  let sum = 0
  for (let i = 0; i < ring.length; i++) {
    const a = ring[i]!
    const b = ring[(i + 1) % ring.length]!
    sum += a[0]! * b[1]! - b[0]! * a[1]!
  }
  return sum
}
