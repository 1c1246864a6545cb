// The web Mercator square: x and y from 0 to 1, x eastwards from 180° W, y southwards. It knows no DOM.

export const EARTH_CIRCUMFERENCE = 40075016.686
const MAX_LAT = 85.051129

export function mercatorX(lon: number): number {
  return lon / 360 + 0.5
}

export function mercatorY(lat: number): number {
  const clamped = Math.max(-MAX_LAT, Math.min(MAX_LAT, lat))
  return 0.5 - Math.log(Math.tan(Math.PI / 4 + clamped * Math.PI / 360)) / (2 * Math.PI)
}

export function lonOf(x: number): number {
  return (x - 0.5) * 360
}

export function latOf(y: number): number {
  return Math.atan(Math.exp((0.5 - y) * 2 * Math.PI)) * 360 / Math.PI - 90
}

// The way from one x to another, the shorter way around the world.
export function shortestX(from: number, to: number): number {
  const d = to - from
  return d - Math.round(d)
}

// The turn from one heading to another in degrees, the shorter way around.
export function shortestTurn(from: number, to: number): number {
  const d = to - from
  return d - 360 * Math.round(d / 360)
}

// How long a way in the square is on the ground, at y.
export function metres(way: number, y: number): number {
  return way * EARTH_CIRCUMFERENCE * Math.cos(latOf(y) * Math.PI / 180)
}

// How many pixels a metre is at a latitude.
export function pixelsPerMetre(lat: number, zoom: number): number {
  return 512 * 2 ** zoom / (EARTH_CIRCUMFERENCE * Math.cos(lat * Math.PI / 180))
}

// West, south, east, north.
export type Box = [number, number, number, number]

const MARGIN = 0.3 // of a box's size, on each side

// widen gives a box a margin; null is the whole world. A box may cross 180°: its west is then east of its east.
export function widen([west, south, east, north]: Box): Box | null {
  const [x, y] = [(east - west) * MARGIN, (north - south) * MARGIN]
  if (east - west + 2 * x >= 360) return null
  const turn = (lon: number) => ((lon + 180) % 360 + 360) % 360 - 180
  const round = (degrees: number) => Math.round(degrees * 1e4) / 1e4
  return [round(turn(west - x)), round(Math.max(-90, south - y)), round(turn(east + x)), round(Math.min(90, north + y))]
}
