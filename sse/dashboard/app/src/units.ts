// The units in which a person thinks, and the one in which the gateway compares.

import { metricName } from './format.ts'

export interface Unit { name: string, factor: number } // factor: of the gateway's unit

export const UNITS: Record<string, Unit[]> = {
  speed: [{ name: 'km/h', factor: 1 / 3.6 }, { name: 'm/s', factor: 1 }, { name: 'mph', factor: 0.44704 }, { name: 'kn', factor: 1852 / 3600 }],
  battery: [{ name: '%', factor: 1 }],
  altitude: [{ name: 'm', factor: 1 }, { name: 'ft', factor: 0.3048 }],
  accuracy: [{ name: 'm', factor: 1 }],
  heading: [{ name: '°', factor: 1 }],
}
const NONE: Unit[] = [{ name: '', factor: 1 }]

export function unitsOf(field: string): Unit[] {
  return UNITS[field] ?? NONE
}

/** The gateway's unit of a field. */
export function baseUnit(field: string): string {
  return field === 'speed' ? 'm/s' : unitsOf(field).find(u => u.factor === 1)?.name ?? ''
}

export function toBase(value: number, unit: Unit): number {
  return tidy(value * unit.factor, 12)
}

export function fromBase(value: number, unit: Unit): number {
  return tidy(value / unit.factor, 9)
}

/** "90 km/h": in the unit that people think in. */
export function inWords(field: string, value: number): string {
  const unit = unitsOf(field)[0]!
  return `${number(fromBase(value, unit))}${unit.name === '' || unit.name === '°' || unit.name === '%' ? unit.name : ` ${unit.name}`}`
}

/** "speed 24.76 is above 24", as the gateway says it in its units, in those of people; any other text as it is. */
export function alertInWords(text: string): string {
  const said = /^(\S+) (-?[\d.e+-]+) is ((?:no longer )?(?:above|below)) (-?[\d.e+-]+)$/.exec(text)
  if (said === null) return text
  const [, field, value, side, limit] = said as unknown as [string, string, string, string, string]
  const name = metricName(field.replace(/^metrics\./, ''))
  return `${name} ${inWords(field, Number(value))} is ${side} ${inWords(field, Number(limit))}`
}

export function number(value: number): string {
  return new Intl.NumberFormat('en', { maximumFractionDigits: 2 }).format(value)
}

// Without the dust of the division: 90 km/h is 25 m/s, and comes back as 90.
function tidy(value: number, digits: number): number {
  return Number(value.toPrecision(digits))
}

/** Seconds as the largest whole unit: 120 is 2 minutes. */
export function splitSeconds(seconds: number): { value: number, unit: number } {
  for (const unit of [3600, 60]) if (seconds >= unit && seconds % unit === 0) return { value: seconds / unit, unit }
  return { value: seconds, unit: 1 }
}

export function secondsInWords(seconds: number): string {
  const { value, unit } = splitSeconds(seconds)
  return `${number(value)} ${unit === 3600 ? 'h' : unit === 60 ? 'min' : 's'}`
}
