// Draws the pins. Thousands of them share one canvas: each look is drawn once into a small canvas and stamped.

import { locate } from './fleet.js'
import { FAINTEST, freshnessOf } from './freshness.js'

const RADIUS = 14 // of a sprite's box: the arrow, its rim and the blur of its shadow
// What is offline lies under what is not, or a depot full of parked vehicles would hide the one that drives by.
const ORDER = ['offline', 'unknown', 'online']
const UNMATCHED = 0.12 // how strong the pins show that the list's filter leaves out
const CROWD = 400 // from so many pins up they become smaller
const SMALLEST = 0.55
const NEAR = 8192 // from this scale up they have their full size; with the whole world in view they are smaller
const SMALLEST_FAR = 0.72
const MAX_LABEL = 40

export class Pins {
  constructor() {
    this.sprites = new Map()
    this.palette = null
    this.ratio = 1
  }

  // Forgets the drawn looks; to be called when the palette or the resolution changes.
  restyle(palette, ratio) {
    this.palette = palette
    this.ratio = ratio
    this.sprites.clear()
  }

  // Draws all pins of the fleet and returns how many are in the window.
  draw(ctx, camera, fleet, view) {
    const size = pinSize(fleet.size, camera.scale)
    let drawn = 0
    const selected = fleet.get(view.selected)
    if (selected?.placed) this.drawTrail(ctx, camera, selected, view.now)
    for (const status of ORDER) {
      for (const entry of fleet.values()) {
        if (entry.status !== status || !entry.placed || entry === selected) continue
        if (this.drawPin(ctx, camera, entry, view, size)) drawn++
      }
    }
    ctx.setTransform(this.ratio, 0, 0, this.ratio, 0, 0)
    ctx.globalAlpha = 1
    if (selected?.placed) {
      this.drawHalo(ctx, camera, selected, view.now)
      if (this.drawPin(ctx, camera, selected, view, 1.2)) drawn++
      ctx.setTransform(this.ratio, 0, 0, this.ratio, 0, 0)
      ctx.globalAlpha = 1
      this.drawLabel(ctx, camera, selected)
    }
    const hovered = fleet.get(view.hovered)
    if (hovered?.placed && hovered !== selected) this.drawLabel(ctx, camera, hovered)
    return drawn
  }

  drawPin(ctx, camera, entry, view, size) {
    locate(entry, view.now)
    const { shown } = entry
    const x = camera.screenX(shown.x)
    const y = camera.screenY(shown.y)
    if (x < -RADIUS || y < -RADIUS || x > camera.width + RADIUS || y > camera.height + RADIUS) return false
    const fresh = freshnessOf(view.serverNow - entry.asset.received)
    ctx.globalAlpha = entry.match ? FAINTEST + (1 - FAINTEST) * fresh : UNMATCHED
    const turn = shown.hasHeading ? shown.heading * Math.PI / 180 : 0
    const cos = Math.cos(turn) * size
    const sin = Math.sin(turn) * size
    const r = this.ratio
    ctx.setTransform(r * cos, r * sin, -r * sin, r * cos, r * x, r * y)
    ctx.drawImage(this.sprite(entry.status, shown.hasHeading), -RADIUS, -RADIUS, 2 * RADIUS, 2 * RADIUS)
    return true
  }

  sprite(status, arrow) {
    const key = arrow ? status : status + ' round'
    let canvas = this.sprites.get(key)
    if (!canvas) {
      canvas = paintSprite(this.palette, status, arrow, this.ratio)
      this.sprites.set(key, canvas)
    }
    return canvas
  }

  drawTrail(ctx, camera, entry, now) {
    if (entry.trail.length < 2) return
    locate(entry, now)
    ctx.beginPath()
    // The last point is where the pin glides to, so the trail ends at the pin instead.
    const points = entry.from ? [...entry.trail.slice(0, -1), entry.shown] : entry.trail
    for (const point of points) ctx.lineTo(camera.screenX(point.x), camera.screenY(point.y))
    ctx.strokeStyle = this.palette.accent
    ctx.globalAlpha = 0.55
    ctx.lineWidth = 2.5
    ctx.lineCap = 'round'
    ctx.lineJoin = 'round'
    ctx.stroke()
    ctx.globalAlpha = 1
  }

  drawHalo(ctx, camera, entry, now) {
    locate(entry, now)
    const x = camera.screenX(entry.shown.x)
    const y = camera.screenY(entry.shown.y)
    ctx.beginPath()
    ctx.arc(x, y, 17, 0, 2 * Math.PI)
    ctx.fillStyle = this.palette.halo
    ctx.fill()
    ctx.strokeStyle = this.palette.accent
    ctx.lineWidth = 1.5
    ctx.stroke()
  }

  drawLabel(ctx, camera, entry) {
    const text = entry.label.length > MAX_LABEL ? entry.label.slice(0, MAX_LABEL - 1) + '…' : entry.label
    ctx.font = `600 12px ${this.palette.font}`
    const width = ctx.measureText(text).width + 14
    const pinX = camera.screenX(entry.shown.x)
    const y = camera.screenY(entry.shown.y)
    const x = pinX + 22 + width > camera.width ? pinX - 22 - width : pinX + 22
    ctx.beginPath()
    ctx.roundRect(x, y - 11, width, 22, 5)
    ctx.fillStyle = this.palette.panel
    ctx.fill()
    ctx.strokeStyle = this.palette.line
    ctx.lineWidth = 1
    ctx.stroke()
    ctx.fillStyle = this.palette.text
    ctx.textAlign = 'left'
    ctx.textBaseline = 'middle'
    ctx.fillText(text, x + 7, y + 0.5)
  }
}

function pinSize(count, scale) {
  const crowd = count <= CROWD ? 1 : 1 - 0.35 * Math.log10(count / CROWD)
  const far = Math.max(SMALLEST_FAR, Math.min(1, 1 + 0.08 * Math.log2(scale / NEAR)))
  return Math.max(SMALLEST, crowd * far)
}

// An arrow for what knows its heading, a disc for what does not. What is offline is hollow: the difference must not be
// of colour alone.
function paintSprite(palette, status, arrow, ratio) {
  const canvas = document.createElement('canvas')
  canvas.width = canvas.height = Math.ceil(2 * RADIUS * ratio * 1.2)
  const ctx = canvas.getContext('2d')
  ctx.setTransform(canvas.width / 2 / RADIUS, 0, 0, canvas.height / 2 / RADIUS, canvas.width / 2, canvas.height / 2)
  ctx.beginPath()
  if (arrow) {
    ctx.moveTo(0, -9.5)
    ctx.lineTo(6.5, 7.5)
    ctx.lineTo(0, 4)
    ctx.lineTo(-6.5, 7.5)
    ctx.closePath()
  } else {
    ctx.arc(0, 0, 5.5, 0, 2 * Math.PI)
  }
  ctx.lineJoin = 'round'
  ctx.lineWidth = 3.5
  ctx.strokeStyle = palette.rim
  ctx.stroke()
  ctx.fillStyle = status === 'offline' ? palette.rim : palette[status]
  ctx.fill()
  if (status === 'offline') {
    ctx.lineWidth = 1.75
    ctx.strokeStyle = palette.offline
    ctx.stroke()
  }
  return canvas
}

// The pin nearest to a pixel, within reach pixels; "" where there is none.
export function pinAt(camera, fleet, px, py, reach) {
  let best = ''
  let bestDistance = reach
  for (const entry of fleet.values()) {
    if (!entry.placed || !entry.match) continue
    const distance = Math.hypot(camera.screenX(entry.shown.x) - px, camera.screenY(entry.shown.y) - py)
    if (distance < bestDistance) {
      bestDistance = distance
      best = entry.id
    }
  }
  return best
}
