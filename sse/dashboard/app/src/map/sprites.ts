// The pictures of the pins, drawn once a palette: a row for each shape, a column for each colour.

import type { Palette } from './palette.ts'

export const CELL = 96 // of a pin of 32 CSS pixels, for screens of up to three pixels each
export const COLUMNS = 6 // online, offline, unknown; info, warning, critical
export const ROWS = 3 // arrow, dot, and hollow for what was not heard of for long

export function drawSprites(palette: Palette): HTMLCanvasElement {
  const canvas = document.createElement('canvas')
  canvas.width = COLUMNS * CELL
  canvas.height = ROWS * CELL
  const ctx = canvas.getContext('2d')!
  const colours = [palette.status.online, palette.status.offline, palette.status.unknown, ...palette.severity]
  const shapes = [arrow, dot, ring]
  colours.forEach((colour, column) => shapes.forEach((shape, row) => {
    ctx.save()
    ctx.translate((column + 0.5) * CELL, (row + 0.5) * CELL)
    ctx.scale(CELL / 32, CELL / 32)
    if (column > 2) halo(ctx, colour)
    shape(ctx, colour, palette.pinEdge)
    ctx.restore()
  }))
  return canvas
}

// The shadow is the same all around: an arrow turns with it.
function shade(ctx: CanvasRenderingContext2D): void {
  ctx.shadowColor = 'rgba(8,15,24,.38)'
  ctx.shadowBlur = 3 * CELL / 32
}

function halo(ctx: CanvasRenderingContext2D, colour: string): void {
  ctx.globalAlpha = 0.24
  ctx.fillStyle = colour
  ctx.beginPath()
  ctx.arc(0, 0, 14.5, 0, Math.PI * 2)
  ctx.fill()
  ctx.globalAlpha = 1
}

function arrow(ctx: CanvasRenderingContext2D, colour: string, edge: string): void {
  ctx.beginPath()
  ctx.moveTo(0, -10.5)
  ctx.lineTo(7.6, 8.2)
  ctx.quadraticCurveTo(0, 3.2, -7.6, 8.2)
  ctx.closePath()
  ctx.lineJoin = 'round'
  ctx.strokeStyle = edge
  ctx.lineWidth = 3.6
  ctx.save()
  shade(ctx)
  ctx.stroke()
  ctx.restore()
  ctx.fillStyle = colour
  ctx.fill()
  ctx.strokeStyle = colour
  ctx.lineWidth = 0.8
  ctx.stroke()
}

function dot(ctx: CanvasRenderingContext2D, colour: string, edge: string): void {
  ctx.beginPath()
  ctx.arc(0, 0, 5.6, 0, Math.PI * 2)
  ctx.fillStyle = edge
  ctx.save()
  shade(ctx)
  ctx.beginPath()
  ctx.arc(0, 0, 7.4, 0, Math.PI * 2)
  ctx.fill()
  ctx.restore()
  ctx.fillStyle = colour
  ctx.beginPath()
  ctx.arc(0, 0, 5.6, 0, Math.PI * 2)
  ctx.fill()
}

function ring(ctx: CanvasRenderingContext2D, colour: string, edge: string): void {
  ctx.beginPath()
  ctx.arc(0, 0, 5, 0, Math.PI * 2)
  ctx.strokeStyle = edge
  ctx.lineWidth = 4.4
  ctx.stroke()
  ctx.strokeStyle = colour
  ctx.lineWidth = 2.2
  ctx.setLineDash([2.6, 2])
  ctx.stroke()
}
