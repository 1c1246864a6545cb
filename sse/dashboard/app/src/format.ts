// Numbers as people read them.

const COMPASS = ['N', 'NE', 'E', 'SE', 'S', 'SW', 'W', 'NW']

const decimals = [0, 1, 2, 3].map(n => new Intl.NumberFormat(undefined, { maximumFractionDigits: n }))
const coordinate = new Intl.NumberFormat(undefined, { minimumFractionDigits: 5, maximumFractionDigits: 5 })
const compact = new Intl.NumberFormat(undefined, { notation: 'compact', maximumFractionDigits: 1 })
const time = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' })
const hourMinute = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })
const dateTime = new Intl.DateTimeFormat(undefined, { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })

export function number(value: number, digits = 0): string {
  return (decimals[digits] ?? decimals[2]!).format(value)
}

export function few(value: number): string {
  return value < 10000 ? number(value) : compact.format(value)
}

// ms of age as one unit: "now", "12 s", "4 min", "3 h", "2 d".
export function age(ms: number): string {
  const seconds = Math.max(0, ms) / 1000
  if (seconds < 1) return 'now'
  if (seconds < 60) return `${Math.floor(seconds)} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`
  return `${number(Math.floor(seconds / 86400))} d`
}

// A lag in ms: "8 ms", "1.4 s", and as an age from ten seconds up.
export function lag(ms: number): string {
  if (ms < 1000) return `${Math.round(Math.max(0, ms))} ms`
  if (ms < 10000) return `${(ms / 1000).toFixed(1)} s`
  return age(ms)
}

// The stream has m/s; people drive km/h.
export function kmh(metresPerSecond: number): string {
  return number(metresPerSecond * 3.6)
}

export function heading(degrees: number): string {
  const whole = (Math.round(degrees) % 360 + 360) % 360
  return `${whole}° ${COMPASS[Math.round(whole / 45) % 8]}`
}

export function position(lat: number, lon: number): string {
  return `${coordinate.format(Math.abs(lat))}° ${lat < 0 ? 'S' : 'N'}, ${coordinate.format(Math.abs(lon))}° ${lon < 0 ? 'W' : 'E'}`
}

export function distance(metres: number): string {
  if (metres >= 10000) return `${number(metres / 1000)} km`
  return metres >= 1000 ? `${number(metres / 1000, 1)} km` : `${number(metres)} m`
}

export function clock(ms: number): string {
  return time.format(ms)
}

export function minutes(ms: number): string {
  return hourMinute.format(ms)
}

export function moment(ms: number): string {
  return dateTime.format(ms)
}

// The value of a metric: a number, a text or a bool; what else a server may send is shown as JSON.
export function metric(value: unknown): string {
  if (typeof value === 'number') return number(value, 2)
  if (typeof value === 'string') return value
  if (value === true) return 'yes'
  if (value === false) return 'no'
  return JSON.stringify(value) ?? ''
}

// "cargo.temperature" as people write it; the name itself stays in the title.
export function metricName(name: string): string {
  return name.replaceAll(/[._-]+/g, ' ')
}
