// Numbers as people read them.

const COMPASS = ['N', 'NE', 'E', 'SE', 'S', 'SW', 'W', 'NW']

const decimals = [0, 1, 2].map(n => new Intl.NumberFormat(undefined, { maximumFractionDigits: n }))
const coordinate = new Intl.NumberFormat(undefined, { minimumFractionDigits: 5, maximumFractionDigits: 5 })

export function number(value, digits = 0) {
  return decimals[digits].format(value)
}

// ms of age as one unit: "now", "12 s", "4 min", "3 h", "2 d".
export function age(ms) {
  const seconds = Math.max(0, ms) / 1000
  if (seconds < 1) return 'now'
  if (seconds < 60) return `${Math.floor(seconds)} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`
  return `${number(Math.floor(seconds / 86400))} d`
}

// A lag in ms: "8 ms", "1.4 s", and as an age from ten seconds up.
export function lag(ms) {
  if (ms < 1000) return `${Math.round(Math.max(0, ms))} ms`
  if (ms < 10000) return `${(ms / 1000).toFixed(1)} s`
  return age(ms)
}

// The stream has m/s; people drive km/h.
export function speed(metresPerSecond) {
  return `${number(metresPerSecond * 3.6)} km/h`
}

export function heading(angle) {
  const whole = (Math.round(angle) % 360 + 360) % 360
  return `${whole}° ${COMPASS[Math.round(whole / 45) % 8]}`
}

export function position(lat, lon) {
  return `${coordinate.format(Math.abs(lat))}° ${lat < 0 ? 'S' : 'N'}, ${coordinate.format(Math.abs(lon))}° ${lon < 0 ? 'W' : 'E'}`
}

export function distance(metres) {
  return metres >= 1000 ? `${number(metres / 1000)} km` : `${number(metres)} m`
}

// A degree of the graticule; step tells how many decimals it needs.
export function degrees(value, step, positive, negative) {
  const digits = step >= 1 ? 0 : Math.ceil(-Math.log10(step))
  const text = `${Math.abs(value).toFixed(digits)}°`
  if (Number(Math.abs(value).toFixed(digits)) === 0 || Math.abs(value) === 180) return text
  return text + (value < 0 ? negative : positive)
}

// The value of a metric: a number, a text or a bool; what else a server may send is shown as JSON.
export function metric(value) {
  if (typeof value === 'number') return number(value, 2)
  if (typeof value === 'string') return value
  return JSON.stringify(value) ?? ''
}
