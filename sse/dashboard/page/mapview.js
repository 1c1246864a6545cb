// The map: two canvases, one over the other, and the frame loop. The lower one (basemap) is drawn when the view
// changes, the upper one (pins) while something moves. Gestures move the camera; see gestures.js.

import { drawBasemap } from './basemap.js'
import { Camera } from './camera.js'
import { boundsOf, shortestX } from './geo.js'
import { watchGestures } from './gestures.js'
import { Pins, pinAt } from './pins.js'

const FIT_MARGIN = 56
const FLIGHT = 450 // ms that the camera takes to another place
const REACH = { mouse: 14, pen: 18, touch: 24 } // pixels around a pin that count as the pin
const COLOURS = ['sea', 'land', 'coast', 'border', 'graticule', 'label', 'panel', 'line', 'text', 'muted', 'accent', 'halo', 'rim',
  'online', 'offline', 'unknown']

export class MapView {
  // on: {select(id)} with "" for nothing.
  constructor(root, fleet, clock, on) {
    this.root = root
    this.base = root.querySelector('[data-part=base]')
    this.top = root.querySelector('[data-part=pins]')
    this.fleet = fleet
    this.clock = clock
    this.on = on
    this.camera = new Camera()
    this.pins = new Pins()
    this.outlines = null
    this.selected = ''
    this.hovered = ''
    this.touched = false // by a person: from then on the page does not move the view by itself
    this.fitted = false
    this.flight = null
    this.baseStale = true
    this.pinsStale = true
    this.frame = 0
    this.still = matchMedia('(prefers-reduced-motion: reduce)')
  }

  start() {
    new ResizeObserver(() => this.resize()).observe(this.root)
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.restyle())
    watchGestures(this.top, {
      pan: (dx, dy) => this.byHand(() => this.camera.pan(dx, dy)),
      zoom: (factor, x, y) => this.byHand(() => this.camera.zoom(factor, x, y)),
      fit: () => this.fit(),
      tap: (x, y, pointer) => this.on.select(pinAt(this.camera, this.fleet, x, y, REACH[pointer] ?? REACH.mouse)),
      hover: (x, y) => this.hover(x, y),
      escape: () => this.on.select(''),
    })
    this.resize()
  }

  setOutlines(outlines) {
    this.outlines = outlines
    this.invalidate(true)
  }

  resize() {
    const ratio = window.devicePixelRatio || 1
    const { clientWidth: width, clientHeight: height } = this.root
    for (const canvas of [this.base, this.top]) {
      canvas.width = Math.round(width * ratio)
      canvas.height = Math.round(height * ratio)
    }
    this.camera.resize(width, height)
    this.ratio = ratio
    if (this.fitted && !this.touched) this.fit(false)
    this.restyle()
  }

  restyle() {
    const style = getComputedStyle(this.root)
    this.palette = { font: style.fontFamily }
    for (const name of COLOURS) this.palette[name] = style.getPropertyValue(`--${name}`).trim()
    this.pins.restyle(this.palette, this.ratio)
    this.invalidate(true)
  }

  // Shows the whole fleet once, when the first assets are there and nobody has moved the map yet.
  fitOnce() {
    if (this.fitted || this.touched) return
    this.fitted = this.fit(false)
  }

  // Shows all pins that the filter leaves. Returns false where there are none.
  fit(fly = true) {
    const places = []
    for (const entry of this.fleet.values()) {
      if (entry.placed && entry.match) places.push(entry.target)
    }
    const box = boundsOf(places)
    if (!box) return false
    const view = this.camera.fitting(box, Math.min(FIT_MARGIN, this.camera.width / 8))
    this.go(view, fly)
    return true
  }

  // Selects a pin and brings it into the middle of what is not covered, if asked to or if it is under the card, which
  // covers so many pixels from the bottom.
  select(id, bring, covered) {
    this.selected = id
    this.invalidate()
    const entry = this.fleet.get(id)
    if (!entry?.placed) return
    const { camera } = this
    const hidden = camera.screenY(entry.target.y) > camera.height - covered
    if (!bring && !hidden) return
    this.touched = true
    this.go({ x: entry.target.x, y: entry.target.y + covered / 2 / camera.scale, scale: camera.scale }, true)
  }

  zoomBy(factor) {
    this.byHand(() => this.camera.zoom(factor))
  }

  byHand(move) {
    this.touched = true
    this.flight = null
    move()
    this.invalidate(true)
  }

  hover(x, y) {
    const id = x === null ? '' : pinAt(this.camera, this.fleet, x, y, REACH.mouse)
    if (id === this.hovered) return
    this.hovered = id
    this.top.classList.toggle('over-pin', id !== '')
    this.invalidate()
  }

  go(view, fly) {
    if (!fly || this.still.matches) {
      this.flight = null
      this.camera.look(view.x, view.y, view.scale)
    } else {
      const { x, y, scale } = this.camera
      this.flight = { from: { x, y, scale }, to: view, start: performance.now() }
    }
    this.invalidate(true)
  }

  invalidate(base = false) {
    this.baseStale ||= base
    this.pinsStale = true
    this.frame ||= requestAnimationFrame(now => this.draw(now))
  }

  draw(now) {
    this.frame = 0
    if (this.flight) this.fly(now)
    if (this.baseStale) {
      this.baseStale = false
      const ctx = this.base.getContext('2d', { alpha: false })
      ctx.setTransform(this.ratio, 0, 0, this.ratio, 0, 0)
      drawBasemap(ctx, this.camera, this.outlines, this.palette)
    }
    if (this.pinsStale) this.drawPins(now)
    if (this.flight || now < this.fleet.movingUntil) this.invalidate(this.flight !== null)
  }

  drawPins(now) {
    this.pinsStale = false
    const ctx = this.top.getContext('2d')
    ctx.setTransform(1, 0, 0, 1, 0, 0)
    ctx.clearRect(0, 0, this.top.width, this.top.height)
    ctx.setTransform(this.ratio, 0, 0, this.ratio, 0, 0)
    const { selected, hovered } = this
    // Who asked for less motion sees each pin at its newest place at once.
    const moment = this.still.matches ? Infinity : now
    const drawn = this.pins.draw(ctx, this.camera, this.fleet, { selected, hovered, now: moment, serverNow: this.clock.now() })
    this.root.dataset.pins = drawn
  }

  fly(now) {
    const { from, to, start } = this.flight
    const part = Math.min(1, Math.max(0, now - start) / FLIGHT)
    const eased = 1 - (1 - part) ** 3
    const scale = from.scale * (to.scale / from.scale) ** eased
    this.camera.look(from.x + shortestX(from.x, to.x) * eased, from.y + (to.y - from.y) * eased, scale)
    if (part === 1) this.flight = null
  }
}
