// What the numbers of each asset were since the page was opened, for its charts. Every asset is recorded, also those that
// nobody looks at: who opens one sees how it came to be. Memory is bounded: a record that is full keeps every other
// sample and takes half as many from then on, so it always reaches back to its beginning, only coarser.

import { isNumber, type Asset } from './fleet.ts'

// Values of all records together, 4 bytes each (a time counts as two): 16 MB. Of this an eighth is kept for assets that
// are yet to come, when the others could have grown.
export const MAX_VALUES = 4_000_000
export const MAX_SAMPLES = 256 // of one asset
const FIRST_SAMPLES = 8
const FIRST_SPACING = 1000

/** Members of an asset that are numbers, beside its metrics. */
export const MEASURES = ['speed', 'battery', 'altitude', 'accuracy'] as const

interface Record {
  times: Float64Array
  columns: Map<string, Float32Array> // NaN where a sample has none
  length: number
  spacing: number
}

export interface Series { times: number[], values: (number | null)[] }

export class History {
  used = 0
  private readonly records = new Map<string, Record>()

  constructor(private readonly most = MAX_VALUES) {}

  get size(): number { return this.records.size }

  take(asset: Asset): void {
    const at = asset.received
    if (!isNumber(at)) return
    let record = this.records.get(asset.id)
    if (!record) {
      if (this.used + 2 * FIRST_SAMPLES > this.most) return
      record = { times: new Float64Array(FIRST_SAMPLES), columns: new Map(), length: 0, spacing: FIRST_SPACING }
      this.records.set(asset.id, record)
      this.used += 2 * FIRST_SAMPLES
    }
    if (record.length > 0 && at - record.times[record.length - 1]! < record.spacing) return
    if (record.length === record.times.length && !this.grow(record)) thin(record)
    record.times[record.length] = at
    for (const name of MEASURES) this.write(record, name, asset[name])
    const { metrics } = asset
    if (metrics !== null && typeof metrics === 'object') for (const name in metrics) this.write(record, `metrics.${name}`, metrics[name])
    record.length++
  }

  forget(id: string): void {
    const record = this.records.get(id)
    if (!record) return
    this.used -= record.times.length * (2 + record.columns.size)
    this.records.delete(id)
  }

  clear(): void {
    this.records.clear()
    this.used = 0
  }

  /** The samples of a number, and its newest value, which may be between two samples. */
  of(asset: Asset, name: string): Series {
    const times: number[] = []
    const values: (number | null)[] = []
    const record = this.records.get(asset.id)
    record?.columns.get(name)?.subarray(0, record.length).forEach((value, i) => {
      times.push(record.times[i]!)
      values.push(Number.isNaN(value) ? null : value)
    })
    const now = valueOf(asset, name)
    if (now !== null && asset.received > (times.at(-1) ?? 0)) {
      times.push(asset.received)
      values.push(now)
    }
    return { times, values }
  }

  private write(record: Record, name: string, value: unknown): void {
    if (!isNumber(value)) return
    let column = record.columns.get(name)
    if (!column) {
      if (this.used + record.times.length > this.most) return
      column = new Float32Array(record.times.length).fill(NaN)
      record.columns.set(name, column)
      this.used += column.length
    }
    column[record.length] = value
  }

  private grow(record: Record): boolean {
    const length = record.times.length * 2
    const more = record.times.length * (2 + record.columns.size)
    if (length > MAX_SAMPLES || this.used + more > this.most * 7 / 8) return false
    const times = new Float64Array(length)
    times.set(record.times)
    record.times = times
    for (const [name, old] of record.columns) {
      const column = new Float32Array(length).fill(NaN)
      column.set(old)
      record.columns.set(name, column)
    }
    this.used += more
    return true
  }
}

// Keeps every other sample.
function thin(record: Record): void {
  const { times, columns, length } = record
  const left = Math.ceil(length / 2)
  for (let i = 0; i < left; i++) times[i] = times[2 * i]!
  for (const column of columns.values()) {
    for (let i = 0; i < left; i++) column[i] = column[2 * i]!
    column.fill(NaN, left)
  }
  record.length = left
  record.spacing *= 2
}

export function valueOf(asset: Asset, name: string): number | null {
  const value = name.startsWith('metrics.') ? asset.metrics?.[name.slice('metrics.'.length)] : asset[name as keyof Asset]
  return isNumber(value) ? value : null
}
