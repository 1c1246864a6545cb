// Reads /outlines.json, which scripts/outlines.cjs writes at build time. A build without Node has none; the map then
// shows its graticule only.

import { mercatorX, mercatorY } from './geo.js'

// {land, borders}: lists of {points: Float64Array of x, y pairs, west, east, north, south}, or null.
export async function loadOutlines(url) {
  try {
    const response = await fetch(url)
    if (!response.ok) return null
    const data = await response.json()
    return {
      land: data.land.map(steps => decode(steps, data.scale)),
      borders: data.borders.map(steps => decode(steps, data.scale)),
    }
  } catch (error) {
    console.warn('The outlines of the world could not be read; the map does without.', error)
    return null
  }
}

function decode(steps, scale) {
  const line = { points: new Float64Array(steps.length), west: Infinity, east: -Infinity, north: Infinity, south: -Infinity }
  let lon = 0
  let lat = 0
  for (let i = 0; i < steps.length; i += 2) {
    lon += steps[i]
    lat += steps[i + 1]
    const x = mercatorX(lon / scale)
    const y = mercatorY(lat / scale)
    line.points[i] = x
    line.points[i + 1] = y
    line.west = Math.min(line.west, x)
    line.east = Math.max(line.east, x)
    line.north = Math.min(line.north, y)
    line.south = Math.max(line.south, y)
  }
  return line
}
