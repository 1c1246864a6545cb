// What the map is drawn from: the outlines that come with the program, or the user's own style or tiles, by one setting.

import type { FilterSpecification, LayerSpecification, SourceSpecification, StyleSpecification } from 'maplibre-gl'
import type { World } from './outlines.ts'
import type { Palette } from './palette.ts'
import { tileLayers } from './tiles.ts'

export interface MapSettings { kind: 'outlines' | 'style' | 'pmtiles', url?: string }

// Without a server of glyphs MapLibre draws letters with the fonts of the page.
export const FONT = ['Inter Variable', 'sans-serif']

const NONE = { type: 'FeatureCollection' as const, features: [] }

// styleOf makes the style; of a user's own style the URL is enough.
export function styleOf(settings: MapSettings, world: World | null, palette: Palette): StyleSpecification | string {
  if (settings.kind === 'style' && settings.url) return new URL(settings.url, location.href).href
  if (settings.kind === 'pmtiles' && settings.url) {
    const url = `pmtiles://${new URL(settings.url, location.href).href}`
    return { version: 8, sources: { tiles: { type: 'vector', url } }, layers: tileLayers(palette) }
  }
  return { version: 8, sources: worldSources(world), layers: worldLayers(palette) }
}

function worldSources(world: World | null): Record<string, SourceSpecification> {
  const shapes = { type: 'geojson' as const, maxzoom: 7, tolerance: 0.4, buffer: 32 }
  return {
    land: { ...shapes, data: world?.land ?? NONE, attribution: 'Natural Earth' },
    borders: { ...shapes, data: world?.borders ?? NONE },
    places: { type: 'geojson', data: world?.places ?? NONE, maxzoom: 8 },
  }
}

// The nearer, the smaller the cities that are named; a filter sees whole steps of zoom.
const cities: FilterSpecification = ['all', ['==', ['get', 'kind'], 'city'], ['>=', ['get', 'rank'], ['step', ['zoom'], 5e6, 4, 1.6e6, 5, 7e5, 6, 3e5, 7, 0]]]

function worldLayers(p: Palette): LayerSpecification[] {
  return [
    { id: 'water', type: 'background', paint: { 'background-color': p.water } },
    {
      id: 'shelf', type: 'line', source: 'land', layout: { 'line-join': 'round' },
      paint: { 'line-color': p.shelf, 'line-width': ['interpolate', ['linear'], ['zoom'], 1, 5, 5, 14, 9, 26], 'line-blur': ['interpolate', ['linear'], ['zoom'], 1, 3, 5, 8, 9, 14] },
    },
    { id: 'land', type: 'fill', source: 'land', paint: { 'fill-color': p.land, 'fill-antialias': false } },
    { id: 'coast', type: 'line', source: 'land', layout: { 'line-join': 'round' }, paint: { 'line-color': p.coast, 'line-width': ['interpolate', ['linear'], ['zoom'], 1, 0.6, 6, 1.1] } },
    { id: 'borders', type: 'line', source: 'borders', layout: { 'line-join': 'round' }, paint: { 'line-color': p.border, 'line-width': ['interpolate', ['linear'], ['zoom'], 2, 0.7, 7, 1.5] } },
    {
      id: 'city-dots', type: 'circle', source: 'places', minzoom: 3.5, maxzoom: 9, filter: cities,
      paint: { 'circle-radius': 2, 'circle-color': p.halo, 'circle-stroke-color': p.city, 'circle-stroke-width': 1.1, 'circle-stroke-opacity': 0.7 },
    },
    {
      // Beside the place and not on it, where the pins and bubbles are.
      id: 'cities', type: 'symbol', source: 'places', minzoom: 3.5, filter: cities,
      layout: {
        'text-field': ['get', 'name'], 'text-font': FONT, 'text-size': ['interpolate', ['linear'], ['zoom'], 4, 10.5, 8, 13], 'text-padding': 4,
        'symbol-sort-key': ['-', 0, ['get', 'rank']], 'text-max-width': 9, 'text-variable-anchor': ['left', 'top', 'right', 'bottom'], 'text-radial-offset': 1.3,
      },
      paint: { 'text-color': p.city, 'text-halo-color': p.halo, 'text-halo-width': 1.2 },
    },
    {
      id: 'countries', type: 'symbol', source: 'places', minzoom: 1.5, maxzoom: 7, filter: ['all', ['==', ['get', 'kind'], 'country'],
        ['>=', ['get', 'rank'], ['step', ['zoom'], 300, 2, 100, 3, 25, 4, 4, 5, 0]]],
      layout: {
        'text-field': ['upcase', ['get', 'name']], 'text-font': FONT, 'text-size': ['interpolate', ['linear'], ['zoom'], 2, 9.5, 6, 13], 'text-letter-spacing': 0.14,
        'text-max-width': 8, 'text-padding': 8, 'symbol-sort-key': ['-', 0, ['get', 'rank']],
      },
      paint: { 'text-color': p.country, 'text-halo-color': p.halo, 'text-halo-width': 1.4, 'text-opacity': 0.9 },
    },
  ]
}
