// The style of a PMTiles file of the user's, in the layers that Protomaps' base map has (and, near enough, its builds
// of OpenStreetMap). Letters are drawn with the page's fonts, so nothing but the file is loaded.

import type { LayerSpecification } from 'maplibre-gl'
import { FONT } from './basemap.ts'
import type { Palette } from './palette.ts'

export function tileLayers(p: Palette): LayerSpecification[] {
  const at = { source: 'tiles' } as const
  const width = (thin: number, wide: number): ['interpolate', ['exponential', number], ['zoom'], number, number, number, number] =>
    ['interpolate', ['exponential', 1.6], ['zoom'], 6, thin, 18, wide]
  return [
    { id: 'background', type: 'background', paint: { 'background-color': p.land } },
    { id: 'earth', type: 'fill', ...at, 'source-layer': 'earth', paint: { 'fill-color': p.land } },
    { id: 'landuse', type: 'fill', ...at, 'source-layer': 'landuse', filter: ['in', ['get', 'kind'], ['literal', ['park', 'forest', 'wood', 'nature_reserve', 'grass', 'cemetery', 'golf_course']]], paint: { 'fill-color': p.park } },
    { id: 'water', type: 'fill', ...at, 'source-layer': 'water', filter: ['==', ['geometry-type'], 'Polygon'], paint: { 'fill-color': p.water } },
    { id: 'buildings', type: 'fill', ...at, 'source-layer': 'buildings', minzoom: 14, paint: { 'fill-color': p.building } },
    { id: 'roads-small', type: 'line', ...at, 'source-layer': 'roads', minzoom: 12, filter: ['in', ['get', 'kind'], ['literal', ['minor_road', 'other', 'path']]], layout: { 'line-cap': 'round', 'line-join': 'round' }, paint: { 'line-color': p.road, 'line-width': width(0.3, 9) } },
    { id: 'roads-medium', type: 'line', ...at, 'source-layer': 'roads', minzoom: 8, filter: ['in', ['get', 'kind'], ['literal', ['medium_road', 'major_road']]], layout: { 'line-cap': 'round', 'line-join': 'round' }, paint: { 'line-color': p.road, 'line-width': width(0.6, 14) } },
    { id: 'rail', type: 'line', ...at, 'source-layer': 'roads', minzoom: 10, filter: ['==', ['get', 'kind'], 'rail'], paint: { 'line-color': p.border, 'line-width': 1, 'line-dasharray': [3, 2] } },
    { id: 'roads-major', type: 'line', ...at, 'source-layer': 'roads', minzoom: 5, filter: ['==', ['get', 'kind'], 'highway'], layout: { 'line-cap': 'round', 'line-join': 'round' }, paint: { 'line-color': p.roadMajor, 'line-width': width(0.8, 18) } },
    { id: 'boundaries', type: 'line', ...at, 'source-layer': 'boundaries', paint: { 'line-color': p.border, 'line-width': 1 } },
    {
      id: 'road-names', type: 'symbol', ...at, 'source-layer': 'roads', minzoom: 13, layout: { 'symbol-placement': 'line', 'text-field': ['get', 'name'], 'text-font': FONT, 'text-size': 11 },
      paint: { 'text-color': p.city, 'text-halo-color': p.halo, 'text-halo-width': 1.4 },
    },
    {
      id: 'places', type: 'symbol', ...at, 'source-layer': 'places', filter: ['in', ['get', 'kind'], ['literal', ['locality', 'neighbourhood', 'macrohood']]],
      layout: { 'text-field': ['get', 'name'], 'text-font': FONT, 'text-size': ['interpolate', ['linear'], ['zoom'], 4, 11, 12, 14], 'symbol-sort-key': ['coalesce', ['get', 'min_zoom'], 99] },
      paint: { 'text-color': p.city, 'text-halo-color': p.halo, 'text-halo-width': 1.4 },
    },
    {
      id: 'countries', type: 'symbol', ...at, 'source-layer': 'places', maxzoom: 8, filter: ['==', ['get', 'kind'], 'country'],
      layout: { 'text-field': ['upcase', ['get', 'name']], 'text-font': FONT, 'text-size': 11, 'text-letter-spacing': 0.14 },
      paint: { 'text-color': p.country, 'text-halo-color': p.halo, 'text-halo-width': 1.4 },
    },
  ]
}
