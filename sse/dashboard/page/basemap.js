// Draws what lies under the pins: sea, land, borders, graticule and scale bar. It is drawn only when the view changes.

import { latitude, longitude, mercatorX, mercatorY, metres, roundBelow } from './geo.js'
import { degrees, distance } from './format.js'

// A point nearer than this to the one before cannot be seen; at the scale of the world it is most of them.
const MIN_STEP = 0.7
// Degrees between the lines of the graticule, and the least distance of the lines in pixels.
const GRATICULE = [30, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001]
const GRATICULE_SPACING = 70
const SCALE_BAR = 110
const LABEL_FONT = '11px'
// Beyond the edge of the map at 85°: what touches it closes an area over the pole and is no coast.
const EDGE = 1 - 1e-9

export function drawBasemap(ctx, camera, outlines, palette) {
  ctx.fillStyle = palette.sea
  ctx.fillRect(0, 0, camera.width, camera.height)
  if (outlines) {
    drawLand(ctx, camera, outlines.land, palette)
    ctx.beginPath()
    for (const line of outlines.borders) traceCopies(ctx, camera, line, false)
    ctx.strokeStyle = palette.border
    ctx.lineWidth = 1
    ctx.stroke()
  }
  drawGraticule(ctx, camera, palette)
  drawScaleBar(ctx, camera, palette)
}

function drawLand(ctx, camera, land, palette) {
  ctx.beginPath()
  for (const ring of land) traceCopies(ctx, camera, ring, false)
  ctx.fillStyle = palette.land
  ctx.fill('evenodd') // seas within land are rings of their own
  ctx.beginPath()
  for (const ring of land) traceCopies(ctx, camera, ring, true)
  ctx.strokeStyle = palette.coast
  ctx.lineWidth = 1
  ctx.lineJoin = 'round'
  ctx.stroke()
}

// The view and the lines may reach over 180° on either side, so a line can show at its place and one world to the west
// or east.
function traceCopies(ctx, camera, line, coastOnly) {
  const halfX = camera.width / 2 / camera.scale
  const halfY = camera.height / 2 / camera.scale
  if (line.south < camera.y - halfY || line.north > camera.y + halfY) return
  if ((line.east - line.west + line.south - line.north) * camera.scale < MIN_STEP) return
  for (let copy = -1; copy <= 1; copy++) {
    if (line.east + copy < camera.x - halfX || line.west + copy > camera.x + halfX) continue
    trace(ctx, camera, line.points, copy, coastOnly)
  }
}

function trace(ctx, camera, points, copy, coastOnly) {
  const { scale } = camera
  const originX = (copy - camera.x) * scale + camera.width / 2
  const originY = -camera.y * scale + camera.height / 2
  let lastX = Infinity
  let lastY = Infinity
  let lift = true
  for (let i = 0; i < points.length; i += 2) {
    if (coastOnly && i > 0 && (points[i + 1] > EDGE || points[i - 1] > EDGE)) lift = true
    const x = points[i] * scale + originX
    const y = points[i + 1] * scale + originY
    const near = Math.abs(x - lastX) + Math.abs(y - lastY) < MIN_STEP
    if (near && !lift && i < points.length - 2) continue
    if (lift) ctx.moveTo(x, y)
    else ctx.lineTo(x, y)
    lift = false
    lastX = x
    lastY = y
  }
}

function drawGraticule(ctx, camera, palette) {
  let step = GRATICULE[0]
  for (const candidate of GRATICULE) {
    if (candidate / 360 * camera.scale < GRATICULE_SPACING) break
    step = candidate
  }
  const halfX = camera.width / 2 / camera.scale
  const halfY = camera.height / 2 / camera.scale
  ctx.font = `${LABEL_FONT} ${palette.font}`
  ctx.fillStyle = palette.label
  ctx.textBaseline = 'top'
  ctx.textAlign = 'center'
  ctx.beginPath()
  const west = (camera.x - halfX - 0.5) * 360
  const east = (camera.x + halfX - 0.5) * 360
  for (let n = Math.ceil(west / step); n * step <= east; n++) {
    const lon = n * step
    const x = crisp((mercatorX(lon) - camera.x) * camera.scale + camera.width / 2)
    ctx.moveTo(x, 0)
    ctx.lineTo(x, camera.height)
    if (x > 50 && x < camera.width - 60) ctx.fillText(degrees(longitude(mercatorX(lon)), step, 'E', 'W'), x, 6)
  }
  ctx.textBaseline = 'middle'
  ctx.textAlign = 'left'
  const south = latitude(camera.y + halfY)
  const north = latitude(camera.y - halfY)
  for (let n = Math.ceil(south / step); n * step <= north; n++) {
    const lat = n * step
    const y = crisp(camera.screenY(mercatorY(lat)))
    ctx.moveTo(0, y)
    ctx.lineTo(camera.width, y)
    if (y > 24 && y < camera.height - 48) ctx.fillText(degrees(lat, step, 'N', 'S'), 6, y - 8)
  }
  ctx.strokeStyle = palette.graticule
  ctx.lineWidth = 1
  ctx.stroke()
}

function drawScaleBar(ctx, camera, palette) {
  const perPixel = metres(1 / camera.scale, camera.y)
  const length = roundBelow(SCALE_BAR * perPixel)
  const width = Math.round(length / perPixel)
  const x = 14.5
  const y = crisp(camera.height - 14)
  ctx.beginPath()
  ctx.moveTo(x, y - 5)
  ctx.lineTo(x, y)
  ctx.lineTo(x + width, y)
  ctx.lineTo(x + width, y - 5)
  ctx.strokeStyle = palette.muted
  ctx.lineWidth = 1
  ctx.stroke()
  ctx.fillStyle = palette.muted
  ctx.font = `${LABEL_FONT} ${palette.font}`
  ctx.textAlign = 'left'
  ctx.textBaseline = 'bottom'
  ctx.fillText(distance(length), x + 5, y - 3)
}

// A line of one pixel is sharp in the middle of a pixel.
function crisp(v) {
  return Math.round(v) + 0.5
}
