// What is written on the map: bubbles of clusters, names of pins, the selected one's ring. A canvas above the pins, drawn
// only when something on it moves.

import { pixelsPerMetre, latOf } from '../geo.ts'
import { few } from '../format.ts'
import { isNumber, type Entry, type Fleet } from '../state/fleet.ts'
import { screenX, screenY, type Camera } from './camera.ts'
import type { Cluster, Clustering } from './clusters.ts'
import type { Palette } from './palette.ts'

const MAX_NAMES = 90
const NAMES_ZOOM = 9
const PIN_RADIUS = 9
const FONT = "'Inter Variable', system-ui, sans-serif"

export interface Scene {
  camera: Camera
  clustering: Clustering
  selected: Entry | undefined
  hovered: Entry | undefined
  tail: { x: number, y: number } | null // where the trail of the selected one ends
  now: number
}

export class Overlay {
  readonly canvas = document.createElement('canvas')
  private ctx = this.canvas.getContext('2d')!
  private dpr = 1
  private names: Entry[] = []
  private widths = new Map<string, number>()

  constructor(private fleet: Fleet, private palette: Palette) {
    this.canvas.className = 'overlay'
    this.canvas.setAttribute('aria-hidden', 'true')
  }

  setPalette(palette: Palette): void { this.palette = palette }

  resize(width: number, height: number): void {
    this.dpr = Math.min(2, window.devicePixelRatio || 1)
    this.canvas.width = Math.round(width * this.dpr)
    this.canvas.height = Math.round(height * this.dpr)
  }

  // Whether something that is drawn here moves with its pin.
  follows(): boolean { return this.names.length > 0 }

  // Chooses whose names are written: of those in the window, where they are few.
  chooseNames(camera: Camera, clustering: Clustering, now: number): void {
    this.names = []
    if (camera.zoom < NAMES_ZOOM) return
    for (let slot = 0; slot < this.fleet.slots; slot++) {
      const entry = this.fleet.bySlot[slot]
      if (!entry || !entry.match || !this.fleet.placed[slot] || clustering.hidden[slot]) continue
      const at = this.fleet.locate(slot, now)
      if (!inside(camera, at.x, at.y)) continue
      this.names.push(entry)
      if (this.names.length > MAX_NAMES) {
        this.names = []
        return
      }
    }
  }

  draw(scene: Scene): void {
    const { ctx } = this
    ctx.setTransform(this.dpr, 0, 0, this.dpr, 0, 0)
    ctx.clearRect(0, 0, scene.camera.width, scene.camera.height)
    for (const cluster of scene.clustering.clusters) this.bubble(cluster, scene.camera)
    this.drawNames(scene)
    if (scene.selected) this.mark(scene.selected, scene, true)
    if (scene.hovered && scene.hovered !== scene.selected) this.mark(scene.hovered, scene, false)
  }

  private bubble(c: Cluster, camera: Camera): void {
    const x = screenX(camera, c.x)
    const y = screenY(camera, c.y)
    const radius = bubbleRadius(c)
    if (x < -radius || y < -radius || x > camera.width + radius || y > camera.height + radius) return
    const { ctx, palette: p } = this
    ctx.save()
    ctx.shadowColor = 'rgba(8,15,24,.28)'
    ctx.shadowBlur = 8
    ctx.shadowOffsetY = 2
    circle(ctx, x, y, radius)
    ctx.fillStyle = p.bubble
    ctx.fill()
    ctx.restore()
    let from = -Math.PI / 2
    ctx.lineWidth = 3.2
    for (const status of ['online', 'unknown', 'offline'] as const) {
      if (c[status] === 0) continue
      const to = from + c[status] / c.count * Math.PI * 2
      ctx.beginPath()
      ctx.arc(x, y, radius - 2.6, from, to)
      ctx.strokeStyle = p.status[status]
      ctx.stroke()
      from = to
    }
    ctx.fillStyle = p.bubbleText
    ctx.font = `600 ${c.count < 1000 ? 12 : 11.5}px ${FONT}`
    ctx.textAlign = 'center'
    ctx.textBaseline = 'middle'
    ctx.fillText(few(c.count), x, y + 0.5)
    if (c.alert > 0) {
      circle(ctx, x + radius * 0.72, y - radius * 0.72, 5.5)
      ctx.fillStyle = p.severity[c.alert - 1]!
      ctx.fill()
      ctx.lineWidth = 2
      ctx.strokeStyle = p.bubble
      ctx.stroke()
    }
  }

  private drawNames({ camera, selected, hovered, now }: Scene): void {
    if (this.names.length === 0) return
    const { ctx, palette: p } = this
    ctx.font = `500 11.5px ${FONT}`
    ctx.textAlign = 'left'
    ctx.textBaseline = 'middle'
    ctx.lineJoin = 'round'
    ctx.lineWidth = 3
    ctx.strokeStyle = p.labelHalo
    ctx.fillStyle = p.label
    const taken: [number, number, number, number][] = []
    for (const entry of this.names) {
      if (entry === selected || entry === hovered) continue
      const at = this.fleet.locate(entry.slot, now)
      const x = screenX(camera, at.x) + 14
      const y = screenY(camera, at.y)
      const box: [number, number, number, number] = [x - 2, y - 8, x + this.width(entry.label) + 2, y + 8]
      if (taken.some(t => box[0] < t[2] && box[2] > t[0] && box[1] < t[3] && box[3] > t[1])) continue
      taken.push(box)
      ctx.strokeText(entry.label, x, y)
      ctx.fillText(entry.label, x, y)
    }
  }

  private width(label: string): number {
    let width = this.widths.get(label)
    if (width === undefined) {
      if (this.widths.size > 5000) this.widths.clear()
      width = this.ctx.measureText(label).width
      this.widths.set(label, width)
    }
    return width
  }

  // The ring, the circle of the accuracy and the name of the selected or hovered one.
  private mark(entry: Entry, { camera, tail, now }: Scene, isSelected: boolean): void {
    if (!this.fleet.placed[entry.slot]) return
    const { ctx, palette: p } = this
    const at = this.fleet.locate(entry.slot, now)
    const x = screenX(camera, at.x)
    const y = screenY(camera, at.y)
    if (isSelected) {
      if (tail) this.lead(camera, tail, x, y)
      this.accuracy(entry, camera, x, y)
      circle(ctx, x, y, 18)
      ctx.strokeStyle = p.accent
      ctx.lineWidth = 2.5
      ctx.stroke()
    }
    this.tag(entry.label, x, y)
  }

  // From the last place of the trail to where the pin is on its way.
  private lead(camera: Camera, tail: { x: number, y: number }, x: number, y: number): void {
    const { ctx } = this
    const [fromX, fromY] = [screenX(camera, tail.x), screenY(camera, tail.y)]
    const way = Math.hypot(x - fromX, y - fromY)
    if (way <= PIN_RADIUS) return
    const part = 1 - PIN_RADIUS / way // this canvas lies above the pin
    ctx.beginPath()
    ctx.moveTo(fromX, fromY)
    ctx.lineTo(fromX + (x - fromX) * part, fromY + (y - fromY) * part)
    ctx.strokeStyle = this.palette.accent
    ctx.lineWidth = 3
    ctx.lineCap = 'round'
    ctx.globalCompositeOperation = 'destination-over'
    ctx.stroke()
    ctx.globalCompositeOperation = 'source-over'
  }

  private accuracy(entry: Entry, camera: Camera, x: number, y: number): void {
    if (!isNumber(entry.asset.accuracy)) return
    const radius = entry.asset.accuracy * pixelsPerMetre(latOf(camera.y), camera.zoom)
    if (radius < 22 || radius > 4000) return
    const { ctx } = this
    circle(ctx, x, y, radius)
    ctx.globalAlpha = 0.12
    ctx.fillStyle = this.palette.accent
    ctx.fill()
    ctx.globalAlpha = 0.5
    ctx.lineWidth = 1
    ctx.strokeStyle = this.palette.accent
    ctx.stroke()
    ctx.globalAlpha = 1
  }

  private tag(label: string, x: number, y: number): void {
    const { ctx, palette: p } = this
    ctx.font = `600 12px ${FONT}`
    const shown = label.length > 40 ? label.slice(0, 39) + '…' : label
    const width = ctx.measureText(shown).width + 16
    const left = x - width / 2
    const top = y - 46
    ctx.beginPath()
    ctx.roundRect(left, top, width, 23, 7)
    ctx.moveTo(x - 5, top + 23)
    ctx.lineTo(x, top + 28)
    ctx.lineTo(x + 5, top + 23)
    ctx.fillStyle = p.tag
    ctx.fill()
    ctx.fillStyle = p.tagText
    ctx.textAlign = 'center'
    ctx.textBaseline = 'middle'
    ctx.fillText(shown, x, top + 12)
  }
}

export function bubbleRadius(c: Cluster): number {
  return Math.min(27, 13.5 + Math.log10(c.count) * 4)
}

function inside(camera: Camera, x: number, y: number): boolean {
  const sx = screenX(camera, x)
  const sy = screenY(camera, y)
  return sx > -20 && sy > -20 && sx < camera.width + 20 && sy < camera.height + 20
}

function circle(ctx: CanvasRenderingContext2D, x: number, y: number, radius: number): void {
  ctx.beginPath()
  ctx.arc(x, y, radius, 0, Math.PI * 2)
}
