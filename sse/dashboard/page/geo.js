// Web Mercator as plain numbers. A place on the map is x and y in [0, 1]: x grows to the east from 180° W, y to the
// south from 85° N. Nothing here knows of pixels, except where a scale (pixels across the whole world) is given.

export const MAX_LATITUDE = 85.0511287798066 // where the Mercator world becomes a square
const EARTH_CIRCUMFERENCE = 40075016.686 // metres along the equator

export function mercatorX(lon) {
  return lon / 360 + 0.5
}

export function mercatorY(lat) {
  const bounded = Math.max(-MAX_LATITUDE, Math.min(MAX_LATITUDE, lat))
  return 0.5 - Math.log(Math.tan(Math.PI / 4 + bounded * Math.PI / 360)) / (2 * Math.PI)
}

export function longitude(x) {
  return (x - Math.floor(x) - 0.5) * 360
}

export function latitude(y) {
  return Math.atan(Math.sinh((0.5 - y) * 2 * Math.PI)) * 180 / Math.PI
}

// The shortest way around the world between two x, in [-0.5, 0.5]: a ship that crosses 180° moves a little, not back
// across the whole map.
export function shortestX(from, to) {
  const d = to - from
  return d - Math.round(d)
}

// The shortest turn between two headings, in [-180, 180).
export function shortestTurn(from, to) {
  return ((to - from) % 360 + 540) % 360 - 180
}

// Metres on the ground of a distance d on the map (x or y) at y.
export function metres(d, y) {
  return d * EARTH_CIRCUMFERENCE * Math.cos(latitude(y) * Math.PI / 180)
}

// The smallest box around places: {x, y, width, height} with the middle at x, y, or null without places. The box may
// cross 180°: it is the complement of the widest gap between neighbours on the ring of longitudes.
export function boundsOf(places) {
  if (places.length === 0) return null
  const xs = places.map(p => p.x - Math.floor(p.x)).sort((a, b) => a - b)
  let gap = xs[0] + 1 - xs[xs.length - 1]
  let west = xs[0]
  for (let i = 1; i < xs.length; i++) {
    if (xs[i] - xs[i - 1] > gap) {
      gap = xs[i] - xs[i - 1]
      west = xs[i]
    }
  }
  let north = Infinity
  let south = -Infinity
  for (const p of places) {
    north = Math.min(north, p.y)
    south = Math.max(south, p.y)
  }
  const width = 1 - gap
  return { x: west + width / 2, y: (north + south) / 2, width, height: south - north }
}

// The largest of 1, 2 and 5 times a power of ten that is not above limit.
export function roundBelow(limit) {
  const power = 10 ** Math.floor(Math.log10(limit))
  for (const step of [5, 2]) {
    if (step * power <= limit) return step * power
  }
  return power
}
