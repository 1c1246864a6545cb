// What the map looks at: the place in the middle and the scale, in CSS pixels across the whole world. The world is
// never smaller than the window in either direction, so that each place shows exactly once.

import { shortestX } from './geo.js'

const TILE = 256
const MAX_SCALE = TILE * 2 ** 17 // 1.2 m a pixel at the equator: beyond it there is nothing to see without tiles

export class Camera {
  constructor() {
    this.x = 0.5
    this.y = 0.4
    this.scale = TILE
    this.width = 1
    this.height = 1
  }

  get minScale() {
    return Math.max(this.width, this.height)
  }

  resize(width, height) {
    this.width = Math.max(1, width)
    this.height = Math.max(1, height)
    this.look(this.x, this.y, this.scale)
  }

  look(x, y, scale) {
    this.scale = Math.max(this.minScale, Math.min(MAX_SCALE, scale))
    this.x = x - Math.floor(x)
    const half = this.height / 2 / this.scale
    this.y = Math.max(half, Math.min(1 - half, y))
  }

  pan(dx, dy) {
    this.look(this.x - dx / this.scale, this.y - dy / this.scale, this.scale)
  }

  // Zooms so that what is at the pixel px, py stays there.
  zoom(factor, px = this.width / 2, py = this.height / 2) {
    const offsetX = px - this.width / 2
    const offsetY = py - this.height / 2
    const anchorX = this.x + offsetX / this.scale
    const anchorY = this.y + offsetY / this.scale
    const scale = Math.max(this.minScale, Math.min(MAX_SCALE, this.scale * factor))
    this.look(anchorX - offsetX / scale, anchorY - offsetY / scale, scale)
  }

  // The view that shows a box of boundsOf with a margin of pixels around it.
  fitting(box, margin, maxScale = TILE * 2 ** 13) {
    const across = Math.max(1, this.width - 2 * margin) / Math.max(box.width, 1e-9)
    const down = Math.max(1, this.height - 2 * margin) / Math.max(box.height, 1e-9)
    return { x: box.x, y: box.y, scale: Math.min(across, down, maxScale) }
  }

  screenX(x) {
    return shortestX(this.x, x) * this.scale + this.width / 2
  }

  screenY(y) {
    return (y - this.y) * this.scale + this.height / 2
  }
}
