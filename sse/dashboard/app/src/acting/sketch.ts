// A geofence that is being drawn: its places, and the hand that moves them on the map.

import type { FeatureCollection } from 'geojson'
import type { GeoJSONSource, Map as MapLibre, MapMouseEvent, MapTouchEvent } from 'maplibre-gl'
import type { LiveMap } from '../map/livemap.ts'
import { Signal } from '../state/store.ts'
import { metresBetween, outlineOf, planeAt, tidy, type Geometry, type Place, type ShapeType } from './geometry.ts'

const SOURCE = 'sketch'
const LAYERS = ['sketch-area', 'sketch-line', 'sketch-point']
const REACH = 14 // pixels around a handle
const NEW_RADIUS = 70 // pixels, of a circle that was just begun

export class Sketch extends Signal {
  type: ShapeType
  places: Place[]
  radius: number
  width: number
  /** What is cut out of a polygon. It was drawn elsewhere, and stays as it is. */
  holes: readonly [number, number][][]
  private live: LiveMap | null = null
  private dragged = -1
  private addedAt = 0
  private readonly before: string[] = []

  constructor(from?: Geometry) {
    super()
    this.type = from?.type ?? 'circle'
    this.radius = from?.radius ?? 0
    this.width = from?.width ?? 200
    this.places = from?.type === 'circle' ? (from.center ? [from.center] : [])
      : from?.type === 'corridor' ? from.line ?? [] : from?.coordinates?.[0]?.slice(0, -1) ?? []
    this.holes = from?.type === 'polygon' ? from.coordinates?.slice(1) ?? [] : []
  }

  /** How many places the shape needs. */
  get needs(): number {
    return this.type === 'circle' ? 1 : this.type === 'corridor' ? 2 : 3
  }

  get canUndo(): boolean {
    return this.before.length > 0
  }

  setType(type: ShapeType): void {
    this.remember()
    this.type = type
    this.changed()
  }

  setSize(metres: number): void {
    if (this.type === 'circle') this.radius = metres
    else this.width = metres
    this.changed()
  }

  setPlaces(places: Place[]): void {
    this.remember()
    this.places = places
    this.changed()
  }

  fillHoles(): void {
    this.remember()
    this.holes = []
    this.changed()
  }

  clear(): void {
    this.remember()
    this.places = []
    this.holes = []
    this.changed()
  }

  undo(): void {
    const last = this.before.pop()
    if (last === undefined) return
    Object.assign(this, JSON.parse(last) as Pick<Sketch, 'type' | 'places' | 'radius' | 'holes'>)
    this.changed()
  }

  /** As the gateway keeps it; without what is missing yet. */
  geometry(): Geometry {
    const places = this.places.map(tidy)
    const [first] = places
    if (this.type === 'circle') return { type: 'circle', ...(first && { center: first }), radius: Math.round(this.radius * 10) / 10 }
    if (this.type === 'corridor') return { type: 'corridor', line: places, width: this.width }
    return { type: 'polygon', coordinates: first ? [[...places, first], ...this.holes] : [] }
  }

  /** Draws on a map until what it returns is called. Pins cannot be chosen meanwhile. */
  attach(live: LiveMap): () => void {
    const { map } = live
    this.live = live
    live.busy = true
    const ready = () => this.addTo(map)
    if (map.isStyleLoaded()) ready()
    const hands = [
      map.on('styledata', ready), map.on('click', event => this.click(event)), map.on('dblclick', event => this.twice(event)),
      map.on('mousedown', event => this.down(event)), map.on('touchstart', event => this.down(event)),
      map.on('mousemove', event => this.move(event)), map.on('touchmove', event => this.move(event)),
      map.on('mouseup', () => this.up()), map.on('touchend', () => this.up()),
    ]
    map.getCanvas().style.cursor = 'crosshair'
    this.draw()
    return () => {
      for (const hand of hands) hand.unsubscribe()
      this.up()
      this.live = null
      live.busy = false
      map.getCanvas().style.cursor = ''
      for (const layer of LAYERS) if (map.getLayer(layer)) map.removeLayer(layer)
      if (map.getSource(SOURCE)) map.removeSource(SOURCE)
    }
  }

  // The places that can be taken hold of: the last of a circle is on its edge.
  private handles(): Place[] {
    const [center] = this.places
    if (this.type !== 'circle' || !center) return this.places
    return [center, planeAt(center).from(this.radius, 0)]
  }

  private handleAt(event: MapMouseEvent | MapTouchEvent): number {
    const { map } = this.live!
    let best = -1
    let least = REACH
    for (const [i, place] of this.handles().entries()) {
      const at = map.project([place[0], place[1]])
      const way = Math.hypot(at.x - event.point.x, at.y - event.point.y)
      if (way <= least) [best, least] = [i, way]
    }
    return best
  }

  private down(event: MapMouseEvent | MapTouchEvent): void {
    if ('points' in event && event.points.length > 1) return
    this.dragged = this.handleAt(event)
    if (this.dragged < 0) return
    event.preventDefault() // the map stays where it is
    this.remember()
  }

  private move(event: MapMouseEvent | MapTouchEvent): void {
    const { map } = this.live!
    if (this.dragged < 0) {
      map.getCanvas().style.cursor = this.handleAt(event) >= 0 ? 'move' : 'crosshair'
      return
    }
    event.preventDefault()
    const at: Place = [event.lngLat.lng, event.lngLat.lat]
    if (this.type === 'circle' && this.dragged === 1) this.radius = Math.max(1, metresBetween(this.places[0]!, at))
    else this.places = this.places.map((place, i) => i === this.dragged ? at : place)
    this.changed()
  }

  private up(): void {
    if (this.dragged < 0) return
    this.dragged = -1
    this.emit()
  }

  private click(event: MapMouseEvent): void {
    if (this.handleAt(event) >= 0) return
    const { map } = this.live!
    const at: Place = [event.lngLat.lng, event.lngLat.lat]
    this.remember()
    if (this.type !== 'circle') {
      this.places = [...this.places, at]
      this.addedAt = performance.now()
    } else {
      this.places = [at]
      if (this.radius === 0) {
        const edge = map.unproject([event.point.x + NEW_RADIUS, event.point.y])
        this.radius = niceMetres(metresBetween(at, [edge.lng, edge.lat]))
      }
    }
    this.changed()
  }

  private twice(event: MapMouseEvent): void {
    event.preventDefault() // no zoom
    const i = this.handleAt(event)
    if (this.type === 'circle' || i < 0) return
    // The second click of the two was on a place and added none. The first may have: who draws quickly removes nothing.
    if (performance.now() - this.addedAt < 700) return
    this.setPlaces(this.places.filter((_, n) => n !== i))
  }

  private remember(): void {
    const { type, places, radius, holes } = this
    this.before.push(JSON.stringify({ type, places, radius, holes }))
    if (this.before.length > 100) this.before.shift()
  }

  private changed(): void {
    this.draw()
    this.emit()
  }

  private addTo(map: MapLibre): void {
    if (map.getSource(SOURCE)) return
    map.addSource(SOURCE, { type: 'geojson', data: this.features() })
    const colour = getComputedStyle(document.documentElement).getPropertyValue('--accent').trim()
    map.addLayer({ id: 'sketch-area', type: 'fill', source: SOURCE, filter: ['==', ['geometry-type'], 'Polygon'], paint: { 'fill-color': colour, 'fill-opacity': 0.18 } })
    map.addLayer({ id: 'sketch-line', type: 'line', source: SOURCE, filter: ['!=', ['geometry-type'], 'Point'], layout: { 'line-join': 'round' }, paint: { 'line-color': colour, 'line-width': 2.2 } })
    map.addLayer({
      id: 'sketch-point', type: 'circle', source: SOURCE, filter: ['==', ['geometry-type'], 'Point'],
      paint: { 'circle-radius': 6, 'circle-color': '#ffffff', 'circle-stroke-color': colour, 'circle-stroke-width': 2.5 },
    })
  }

  private draw(): void {
    void (this.live?.map.getSource(SOURCE) as GeoJSONSource | undefined)?.setData(this.features())
  }

  private features(): FeatureCollection {
    const outline = outlineOf(this.geometry())
    const line = this.places.length > 1 && this.type !== 'circle' && (!outline || this.type === 'corridor') ? this.places : []
    return {
      type: 'FeatureCollection',
      features: [
        ...(outline ? [{ type: 'Feature' as const, properties: {}, geometry: outline }] : []),
        ...(line.length > 1 ? [{ type: 'Feature' as const, properties: {}, geometry: { type: 'LineString' as const, coordinates: line.map(p => [...p]) } }] : []),
        ...this.handles().map(place => ({ type: 'Feature' as const, properties: {}, geometry: { type: 'Point' as const, coordinates: [...place] } })),
      ],
    }
  }
}

/** Two digits are enough of a size that was drawn by hand. */
function niceMetres(metres: number): number {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(1, metres))) - 1)
  return Math.max(1, Math.round(metres / unit) * unit)
}
