// The map: MapLibre below, pins and what is written on them above. It follows the fleet by itself; React only puts it
// into the page and tells it what is selected.

import type { FeatureCollection } from 'geojson'
import { Map as MapLibre, setWorkerUrl, type LngLatBoundsLike } from 'maplibre-gl'
import workerUrl from 'maplibre-gl/dist/maplibre-gl-worker.mjs?url'
import { latOf, lonOf, mercatorX, mercatorY, shortestX } from '../geo.ts'
import { allowWorker } from '../trusted.ts'
import type { Clock } from '../state/clock.ts'
import type { Entry, Fleet } from '../state/fleet.ts'
import { Value } from '../state/store.ts'
import { styleOf, type MapSettings } from './basemap.ts'
import { screenX, screenY, type Camera } from './camera.ts'
import { cluster, clusterLevel, type Cluster, type Clustering } from './clusters.ts'
import { addLayers, graticule, ownLayers, setData } from './layers.ts'
import type { World } from './outlines.ts'
import { bubbleRadius, Overlay } from './overlay.ts'
import { DARK, LIGHT, type Palette } from './palette.ts'
import { Pins } from './pins.ts'
import type { Trail } from './trail.ts'

const FADE = 5000 // pins fade even where nothing moves
const REGROUP = 1000 // clusters follow what moves
const REACH = 20 // pixels around a pin that are the pin
const NEAR = 11 // the zoom to which a selected asset is brought
const CLOSE = 14 // and to which what lies on one place

export interface LiveMapOptions {
  container: HTMLElement
  fleet: Fleet
  clock: Clock
  trail: Trail
  settings: MapSettings
  world: World | null
  dark: boolean
  select(id: string): void
  moved(): void // by a person's hand: the map no longer follows
}

export class LiveMap {
  readonly map: MapLibre
  readonly zoom = new Value(0)
  readonly scale = new Value(0) // metres a pixel
  padding = { left: 0, right: 0, top: 0, bottom: 0 } // what of the map something else covers
  visiblePins = 0
  busy = false // somebody draws on it: a click chooses nothing
  private pins: Pins
  private overlay: Overlay
  private camera: Camera = { x: 0.5, y: 0.4, scale: 1024, zoom: 1, width: 1, height: 1 }
  private clustering: Clustering = { clusters: [], hidden: new Uint8Array(0) }
  private level = NaN
  private groupedAt = 0
  private groupedVersion = -1
  private frame = 0
  private overlayDirty = true
  private selectedId = ''
  private selected: Entry | undefined // undefined where it is not here, or not yet
  private hovered: Entry | undefined
  private following = false
  private fitted = false
  private deadSince = 0 // 0 while the stream lives
  private timer = 0
  private fences: FeatureCollection = { type: 'FeatureCollection', features: [] }
  private observer: ResizeObserver
  private palette: Palette

  constructor(private o: LiveMapOptions) {
    this.palette = o.dark ? DARK : LIGHT
    setWorkerUrl(allowWorker(new URL(workerUrl, location.href).href))
    this.map = new MapLibre({
      container: o.container, style: styleOf(o.settings, o.world, this.palette), center: [10, 30], zoom: 1.6, minZoom: 0.6, maxZoom: 19,
      attributionControl: false, dragRotate: false, pitchWithRotate: false, touchPitch: false, maxPitch: 0, fadeDuration: 150, cancelPendingTileRequestsWhileZooming: true,
    })
    this.map.touchZoomRotate.disableRotation()
    this.map.keyboard.disableRotation()
    this.pins = new Pins(o.fleet)
    this.overlay = new Overlay(o.fleet, this.palette)
    this.pins.setPalette(this.palette)
    this.map.getCanvasContainer().append(this.pins.canvas, this.overlay.canvas)
    this.map.on('style.load', () => {
      addLayers(this.map, this.palette)
      setData(this.map, 'fences', this.fences)
      this.drawGrid()
      this.drawTrail()
    })
    this.map.on('render', () => this.draw())
    this.map.on('moveend', () => this.drawGrid())
    this.map.on('dragstart', () => this.o.moved())
    this.map.on('error', event => console.info('The map says:', event.error?.message ?? event))
    this.listen()
    this.observer = new ResizeObserver(() => this.resize())
    this.observer.observe(o.container)
    this.timer = window.setInterval(() => { this.overlayDirty = true; this.schedule() }, FADE)
    o.trail.subscribe(() => this.drawTrail())
    this.resize()
  }

  get isPlain(): boolean { return this.o.settings.kind === 'outlines' }

  destroy(): void {
    clearInterval(this.timer)
    cancelAnimationFrame(this.frame)
    this.observer.disconnect()
    this.map.remove()
  }

  // The fleet has changed.
  update(): void {
    if (this.selectedId !== '' && this.o.fleet.get(this.selectedId) !== this.selected) this.setSelected(this.selectedId)
    if (this.selected) this.o.trail.follow(this.selected.asset)
    this.pins.upload()
    this.schedule()
  }

  // The filter has changed: every pin looks otherwise.
  refresh(): void {
    for (let slot = 0; slot < this.o.fleet.slots; slot++) this.o.fleet.touch(slot)
    this.groupedVersion = -1
    this.groupedAt = 0
    this.update()
  }

  setSelected(id: string): void {
    this.selectedId = id
    this.selected = this.o.fleet.get(id)
    void this.o.trail.show(this.selected ? id : '')
    this.groupedAt = 0
    this.groupedVersion = -1
    this.overlayDirty = true
    this.schedule()
  }

  setFollowing(on: boolean): void {
    this.following = on
    this.schedule()
  }

  setDead(dead: boolean): void {
    this.deadSince = dead ? this.deadSince || performance.now() : 0
    this.schedule()
  }

  setDark(dark: boolean): void {
    this.palette = dark ? DARK : LIGHT
    this.pins.setPalette(this.palette)
    this.overlay.setPalette(this.palette)
    const style = styleOf(this.o.settings, this.o.world, this.palette)
    const layers = [...(typeof style === 'string' ? [] : style.layers), ...ownLayers(this.palette)]
    for (const layer of layers) {
      if (!this.map.getLayer(layer.id)) continue
      for (const [name, value] of Object.entries(layer.paint ?? {})) this.map.setPaintProperty(layer.id, name as never, value as never)
    }
    this.overlayDirty = true
    this.schedule()
  }

  setFences(fences: FeatureCollection): void {
    this.fences = fences
    setData(this.map, 'fences', fences)
  }

  // Brings an asset to the middle, nearer than far. Returns whether it is there.
  fly(id: string): boolean {
    const entry = this.o.fleet.get(id)
    if (!entry || !this.o.fleet.placed[entry.slot]) return false
    const at = this.o.fleet.locate(entry.slot, performance.now())
    this.show(lonOf(at.x), latOf(at.y))
    return true
  }

  show(lon: number, lat: number): void {
    this.move({ center: [lon, lat], zoom: Math.max(this.map.getZoom(), NEAR) })
  }

  fit(animate = true): void {
    const { fleet } = this.o
    let [west, east, north, south] = [Infinity, -Infinity, Infinity, -Infinity]
    for (const entry of fleet.entries.values()) {
      if (!fleet.placed[entry.slot] || !entry.match) continue
      west = Math.min(west, fleet.toX[entry.slot]!)
      east = Math.max(east, fleet.toX[entry.slot]!)
      north = Math.min(north, fleet.toY[entry.slot]!)
      south = Math.max(south, fleet.toY[entry.slot]!)
    }
    if (west > east) return
    this.fitBox([[lonOf(west), latOf(south)], [lonOf(east), latOf(north)]], animate)
  }

  fitOnce(): void {
    if (this.fitted || this.o.fleet.placedCount === 0) return
    this.fitted = true
    this.fit(false)
  }

  zoomBy(steps: number): void { void this.map.easeTo({ zoom: this.map.getZoom() + steps, duration: 250 }) }

  private fitBox(box: LngLatBoundsLike, animate: boolean): void {
    this.map.fitBounds(box, { padding: this.inset(56), maxZoom: 13, animate: animate && !calm(), duration: 700 })
  }

  private move(to: { center: [number, number], zoom: number }): void {
    const padding = this.inset(0)
    const options = { ...to, offset: [(padding.left - padding.right) / 2, (padding.top - padding.bottom) / 2] as [number, number] }
    if (calm()) this.map.jumpTo(to)
    else void this.map.easeTo({ ...options, duration: 800 })
  }

  private inset(more: number): { left: number, right: number, top: number, bottom: number } {
    const c = this.camera
    let { left, right, top, bottom } = this.padding
    // A window that has become small leaves no room for what was covered before.
    if (left + right > c.width - 2 * more - 60) left = right = 0
    if (top + bottom > c.height - 2 * more - 60) top = bottom = 0
    return { left: left + more, right: right + more, top: top + more, bottom: bottom + more }
  }

  private resize(): void {
    const { clientWidth: width, clientHeight: height } = this.o.container
    this.camera.width = width
    this.camera.height = height
    this.pins.resize(width, height)
    this.overlay.resize(width, height)
    this.overlayDirty = true
    this.drawGrid()
  }

  private schedule(): void {
    if (this.frame === 0) this.frame = requestAnimationFrame(() => { this.frame = 0; this.draw() })
  }

  private draw(): void {
    const now = performance.now()
    if (this.readCamera()) this.overlayDirty = true
    this.regroup(now)
    const { fleet } = this.o
    const moving = fleet.movingUntil > now
    if (this.follow(now)) return // the map is drawn again, and this with it
    this.pins.upload()
    const linkAge = this.deadSince === 0 ? 0 : Math.max(0, Math.min(0.75, (now - this.deadSince - 4000) / 8000))
    this.pins.draw(this.camera, now, this.o.clock.now(), linkAge)
    if (this.overlayDirty || (moving && (this.selected || this.hovered || this.overlay.follows()))) {
      this.overlayDirty = false
      const tail = this.selected ? this.o.trail.tail() : null
      this.overlay.draw({
        camera: this.camera, clustering: this.clustering, selected: this.selected, hovered: this.hovered, now,
        tail: tail && { x: mercatorX(tail.lon), y: mercatorY(tail.lat) },
      })
    }
    if (moving || (linkAge > 0 && linkAge < 0.75)) this.schedule()
  }

  // Returns whether it has changed.
  private readCamera(): boolean {
    const { lng, lat } = this.map.getCenter()
    const zoom = this.map.getZoom()
    const x = mercatorX(lng)
    const y = mercatorY(lat)
    const c = this.camera
    if (c.x === x && c.y === y && c.zoom === zoom) return false
    Object.assign(c, { x, y, zoom, scale: 512 * 2 ** zoom })
    this.zoom.set(Math.round(zoom * 10) / 10)
    this.scale.set(40075016.686 * Math.cos(lat * Math.PI / 180) / c.scale)
    return true
  }

  private regroup(now: number): void {
    const { fleet } = this.o
    const level = clusterLevel(this.camera.zoom)
    if (level === this.level && (now - this.groupedAt < REGROUP || fleet.version === this.groupedVersion) && this.groupedVersion >= 0) return
    const before = this.clustering.hidden
    this.level = level
    this.groupedAt = now
    this.groupedVersion = fleet.version
    this.clustering = cluster(fleet, level, this.selected?.slot ?? -1)
    const { hidden } = this.clustering
    this.pins.hidden = hidden
    let visible = 0
    for (let slot = 0; slot < hidden.length; slot++) {
      if (hidden[slot] !== before[slot]) fleet.touch(slot)
      if (!hidden[slot] && fleet.placed[slot]) visible++
    }
    this.visiblePins = visible
    this.o.container.dataset.pins = String(visible)
    this.o.container.dataset.clusters = String(this.clustering.clusters.length)
    this.overlay.chooseNames(this.camera, this.clustering, now)
    this.overlayDirty = true
  }

  // Keeps the followed asset where it is on the screen. Returns whether the map was moved.
  private follow(now: number): boolean {
    if (!this.following || !this.selected || !this.o.fleet.placed[this.selected.slot] || this.map.isMoving() || this.map.isZooming()) return false
    const at = this.o.fleet.locate(this.selected.slot, now)
    const c = this.camera
    const inset = this.inset(0)
    const dx = screenX(c, at.x) - (c.width + inset.left - inset.right) / 2
    const dy = screenY(c, at.y) - (c.height + inset.top - inset.bottom) / 2
    if (Math.hypot(dx, dy) < 0.75) return false
    this.map.setCenter([lonOf(c.x + dx / c.scale), latOf(c.y + dy / c.scale)])
    return false
  }

  private drawGrid(): void {
    this.readCamera()
    setData(this.map, 'grid', graticule(this.camera))
    this.groupedAt = 0
    this.groupedVersion = -1
    this.schedule()
  }

  private drawTrail(): void {
    setData(this.map, 'trail', this.o.trail.line())
    this.overlayDirty = true
    this.schedule()
  }

  private listen(): void {
    this.map.on('click', event => {
      if (this.busy) return
      const bubble = this.bubbleAt(event.point.x, event.point.y)
      if (bubble) {
        this.open(bubble)
        return
      }
      this.o.select(this.pinAt(event.point.x, event.point.y)?.id ?? '')
    })
    this.map.on('mousemove', event => {
      if (this.busy) return
      const bubble = this.bubbleAt(event.point.x, event.point.y)
      const pin = bubble ? undefined : this.pinAt(event.point.x, event.point.y)
      this.map.getCanvas().style.cursor = bubble || pin ? 'pointer' : ''
      this.hover(pin)
    })
    this.map.on('mouseout', () => this.hover(undefined))
  }

  hover(entry: Entry | undefined): void {
    if (entry === this.hovered) return
    this.hovered = entry
    this.overlayDirty = true
    this.schedule()
  }

  private open(bubble: Cluster): void {
    const wide = (bubble.east - bubble.west) * this.camera.scale
    const high = (bubble.south - bubble.north) * this.camera.scale
    if (Math.max(wide, high) < 2) {
      this.move({ center: [lonOf(bubble.x), latOf(bubble.y)], zoom: CLOSE })
      return
    }
    this.fitBox([[lonOf(bubble.west), latOf(bubble.south)], [lonOf(bubble.east), latOf(bubble.north)]], true)
  }

  private bubbleAt(x: number, y: number): Cluster | undefined {
    return this.clustering.clusters.find(c => Math.hypot(screenX(this.camera, c.x) - x, screenY(this.camera, c.y) - y) <= bubbleRadius(c))
  }

  private pinAt(x: number, y: number): Entry | undefined {
    const { fleet } = this.o
    const now = performance.now()
    const c = this.camera
    const px = c.x + (x - c.width / 2) / c.scale
    const py = c.y + (y - c.height / 2) / c.scale
    let best: Entry | undefined
    let least = REACH / c.scale
    for (let slot = 0; slot < fleet.slots; slot++) {
      if (!fleet.placed[slot] || this.clustering.hidden[slot]) continue
      // Most are far away: their last fix says so without working out where they are now.
      if (Math.abs(fleet.toY[slot]! - py) > least * 40 + Math.abs(fleet.toY[slot]! - fleet.fromY[slot]!)) continue
      const entry = fleet.bySlot[slot]
      if (!entry?.match) continue
      const at = fleet.locate(slot, now)
      const way = Math.hypot(shortestX(px, at.x), at.y - py)
      if (way < least) {
        least = way
        best = entry
      }
    }
    return best
  }

  // For tests: where a pin is on the screen, and whether a bubble holds it.
  whereIs(id: string): { x: number, y: number, hidden: boolean } | null {
    const entry = this.o.fleet.get(id)
    if (!entry || !this.o.fleet.placed[entry.slot]) return null
    const at = this.o.fleet.locate(entry.slot, performance.now())
    return { x: screenX(this.camera, at.x), y: screenY(this.camera, at.y), hidden: this.clustering.hidden[entry.slot] === 1 }
  }
}

function calm(): boolean {
  return matchMedia('(prefers-reduced-motion: reduce)').matches
}
