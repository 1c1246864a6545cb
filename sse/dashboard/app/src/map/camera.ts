// What the map shows, as what is drawn on it needs it: the middle in the Mercator square and how many pixels that is wide.
// The map has north up and no tilt, so a place on the screen is two multiplications.

import { shortestX } from '../geo.ts'

export interface Camera {
  x: number
  y: number
  scale: number // CSS pixels that the whole world is wide
  zoom: number
  width: number
  height: number
}

export function screenX(camera: Camera, x: number): number {
  return shortestX(camera.x, x) * camera.scale + camera.width / 2
}

export function screenY(camera: Camera, y: number): number {
  return (y - camera.y) * camera.scale + camera.height / 2
}
