// What lies on any base map: the graticule, geofences and the trail of the selected asset.

import type { FeatureCollection, Position } from 'geojson'
import type { GeoJSONSource, LayerSpecification, Map as MapLibre } from 'maplibre-gl'
import { latOf, lonOf } from '../geo.ts'
import { FONT } from './basemap.ts'
import type { Camera } from './camera.ts'
import type { Palette } from './palette.ts'

const NONE: FeatureCollection = { type: 'FeatureCollection', features: [] }
const SOURCES = ['grid', 'fences', 'trail'] as const

export function addLayers(map: MapLibre, palette: Palette): void {
  for (const id of SOURCES) {
    if (!map.getSource(id)) map.addSource(id, { type: 'geojson', data: NONE, lineMetrics: id === 'trail', tolerance: id === 'trail' ? 0.2 : 0.375 })
  }
  for (const layer of ownLayers(palette)) if (!map.getLayer(layer.id)) map.addLayer(layer)
}

export function ownLayers(p: Palette): LayerSpecification[] {
  return [
    { id: 'grid', type: 'line', source: 'grid', paint: { 'line-color': p.grid, 'line-width': 1, 'line-opacity': 0.16 } },
    { id: 'fence-area', type: 'fill', source: 'fences', filter: ['==', ['geometry-type'], 'Polygon'], paint: { 'fill-color': p.accent, 'fill-opacity': 0.09 } },
    { id: 'fence-line', type: 'line', source: 'fences', layout: { 'line-join': 'round', 'line-cap': 'round' }, paint: { 'line-color': p.accent, 'line-width': 1.8, 'line-opacity': 0.75, 'line-dasharray': [2.5, 2] } },
    {
      id: 'fence-name', type: 'symbol', source: 'fences', minzoom: 5, layout: { 'text-field': ['get', 'name'], 'text-font': FONT, 'text-size': 12 },
      paint: { 'text-color': p.accent, 'text-halo-color': p.halo, 'text-halo-width': 1.6 },
    },
    { id: 'trail-case', type: 'line', source: 'trail', layout: { 'line-join': 'round', 'line-cap': 'round' }, paint: { 'line-color': p.halo, 'line-width': 6, 'line-opacity': 0.7 } },
    {
      id: 'trail', type: 'line', source: 'trail', layout: { 'line-join': 'round', 'line-cap': 'round' },
      paint: { 'line-width': 3, 'line-gradient': ['interpolate', ['linear'], ['line-progress'], 0, faint(p.accent), 0.6, p.accent, 1, p.accent], 'line-color': p.accent },
    },
  ]
}

function faint(colour: string): string {
  return `${colour}30`
}

export function setData(map: MapLibre, id: typeof SOURCES[number], data: FeatureCollection): void {
  void (map.getSource(id) as GeoJSONSource | undefined)?.setData(data)
}

// The lines of latitude and longitude at a step that leaves about six of them in the window. The outlines end where a
// city begins; the graticule then says that the map moves, and how far.
export function graticule(camera: Camera): FeatureCollection {
  const halfWidth = Math.min(0.5, camera.width / camera.scale)
  const halfHeight = camera.height / camera.scale
  const west = lonOf(camera.x - halfWidth)
  const east = lonOf(camera.x + halfWidth)
  const north = latOf(Math.max(0, camera.y - halfHeight))
  const south = latOf(Math.min(1, camera.y + halfHeight))
  const step = niceStep(camera.width / camera.scale * 360 / 7)
  const lines: Position[][] = []
  for (let lon = Math.ceil(west / step) * step; lon <= east; lon += step) lines.push(segments([lon, south], [lon, north]))
  for (let lat = Math.ceil(south / step) * step; lat <= north; lat += step) lines.push(segments([west, lat], [east, lat]))
  return { type: 'FeatureCollection', features: lines.map(coordinates => ({ type: 'Feature', properties: {}, geometry: { type: 'LineString', coordinates } })) }
}

function segments(from: Position, to: Position): Position[] {
  return [from, to]
}

export function niceStep(wanted: number): number {
  const steps = [30, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001]
  return steps.find(step => step <= wanted) ?? 0.001
}
