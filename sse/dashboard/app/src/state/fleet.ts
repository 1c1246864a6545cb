// The assets as the page holds them: the newest of each by id, and where each stands on the map at a given moment.
// It knows neither DOM nor React. Times named `now` are a monotonic clock in milliseconds (performance.now), never the
// asset's own. What the map draws every frame lies in typed arrays by slot, so that ten thousand pins cost no objects.

import { mercatorX, mercatorY, metres, shortestTurn, shortestX } from '../geo.ts'

export type Status = 'online' | 'offline' | 'unknown'
export const STATUSES: readonly Status[] = ['online', 'offline', 'unknown']

export interface Asset {
  id: string
  fleet: string
  name?: string
  status: Status
  at?: number
  received: number
  lat?: number
  lon?: number
  altitude?: number
  speed?: number
  heading?: number
  accuracy?: number
  battery?: number
  metrics?: Record<string, unknown>
}

export interface Entry {
  readonly id: string
  readonly slot: number
  asset: Asset
  status: Status
  label: string
  fleet: string
  key: string // what the list sorts and filters by
  search: string
  match: boolean // passes the board's filter; the map draws the others faintly
  alert: number // worst open alert: 0 none, 1 info, 2 warning, 3 critical
}

// A pin glides to a new place in the time that its device took to get there, within these bounds: shorter looks like a
// jump, longer shows a place where the device has not been for seconds. At its end it stands at the last fix: nothing is
// ever drawn ahead of what a device said.
const MIN_GLIDE = 200
const MAX_GLIDE = 3000
// Faster than this it was no drive: the pin jumps. 400 m/s is above any airliner.
const MAX_GLIDE_SPEED = 400
const JUMP_METRES = 2000
// Below this an arrow would show where noise points.
const STANDING_SPEED = 0.5

const FIRST_CAPACITY = 1024

export interface Place { x: number, y: number, heading: number }

export class Fleet {
  readonly entries = new Map<string, Entry>()
  counts: Record<Status, number> = { online: 0, offline: 0, unknown: 0 }
  fleets = new Map<string, number>()
  membership = 0 // changes when an asset comes, goes, or changes what the list sorts and filters by
  version = 0 // changes with every asset
  movingUntil = 0
  placedCount = 0

  // By slot. NaN as heading: there is none, and the pin is a dot.
  capacity = FIRST_CAPACITY
  bySlot: (Entry | undefined)[] = []
  fromX = new Float64Array(FIRST_CAPACITY)
  fromY = new Float64Array(FIRST_CAPACITY)
  toX = new Float64Array(FIRST_CAPACITY)
  toY = new Float64Array(FIRST_CAPACITY)
  fromHeading = new Float32Array(FIRST_CAPACITY)
  toHeading = new Float32Array(FIRST_CAPACITY)
  start = new Float64Array(FIRST_CAPACITY)
  glide = new Float64Array(FIRST_CAPACITY)
  changedAt = new Float64Array(FIRST_CAPACITY)
  received = new Float64Array(FIRST_CAPACITY)
  placed = new Uint8Array(FIRST_CAPACITY)

  // Slots whose drawing changed since the map last took them.
  private dirtyFlag = new Uint8Array(FIRST_CAPACITY)
  private dirtySlots: number[] = []
  private free: number[] = []
  private out: Place = { x: 0, y: 0, heading: 0 }

  get size(): number { return this.entries.size }

  get(id: string): Entry | undefined { return this.entries.get(id) }

  // Takes a whole asset, as each message holds one. Returns false for what is no asset.
  put(asset: Asset, now: number): boolean {
    if (asset === null || typeof asset !== 'object' || typeof asset.id !== 'string') return false
    let entry = this.entries.get(asset.id)
    if (!entry) {
      entry = { id: asset.id, slot: this.allocate(), asset, status: 'unknown', label: asset.id, fleet: '', key: '', search: '', match: true, alert: 0 }
      this.entries.set(asset.id, entry)
      this.bySlot[entry.slot] = entry
    } else {
      this.uncount(entry)
    }
    const before = entry.key
    describe(entry, asset)
    if (entry.key !== before) this.membership++
    this.counts[entry.status]++
    this.fleets.set(entry.fleet, (this.fleets.get(entry.fleet) ?? 0) + 1)
    this.received[entry.slot] = Number.isFinite(asset.received) ? asset.received : 0
    this.place(entry, asset, now)
    this.touch(entry.slot)
    this.version++
    return true
  }

  remove(id: string): boolean {
    const entry = this.entries.get(id)
    if (!entry) return false
    this.drop(entry)
    return true
  }

  clear(): void {
    for (const entry of [...this.entries.values()]) this.drop(entry)
  }

  // Where the pin of a slot stands at now. It writes into one object: this runs for many pins a frame.
  locate(slot: number, now: number): Place {
    const out = this.out
    const glide = this.glide[slot]!
    const part = glide > 0 ? (now - this.start[slot]!) / glide : 1
    out.heading = this.toHeading[slot]!
    if (part >= 1 || part < 0) {
      out.x = this.toX[slot]!
      out.y = this.toY[slot]!
      return out
    }
    out.x = this.fromX[slot]! + shortestX(this.fromX[slot]!, this.toX[slot]!) * part
    out.y = this.fromY[slot]! + (this.toY[slot]! - this.fromY[slot]!) * part
    const begin = this.fromHeading[slot]!
    // A turn is done in half the time of the way: a vehicle looks where it goes before it is there.
    if (begin === begin && out.heading === out.heading) out.heading = begin + shortestTurn(begin, out.heading) * Math.min(1, part * 2)
    return out
  }

  touch(slot: number): void {
    if (this.dirtyFlag[slot]) return
    this.dirtyFlag[slot] = 1
    this.dirtySlots.push(slot)
  }

  takeDirty(): number[] {
    const slots = this.dirtySlots
    if (slots.length === 0) return slots
    for (const slot of slots) this.dirtyFlag[slot] = 0
    this.dirtySlots = []
    return slots
  }

  // The number of slots ever used: those above are empty.
  get slots(): number { return this.bySlot.length }

  private place(entry: Entry, asset: Asset, now: number): void {
    const { slot } = entry
    const was = this.placed[slot]
    if (!isNumber(asset.lat) || !isNumber(asset.lon)) {
      if (was) this.placedCount--
      this.placed[slot] = 0
      return
    }
    const x = mercatorX(asset.lon)
    const y = mercatorY(asset.lat)
    const heading = isNumber(asset.heading) && !(isNumber(asset.speed) && asset.speed < STANDING_SPEED) ? asset.heading : NaN
    if (!was) {
      this.placedCount++
      this.placed[slot] = 1
      this.settle(slot, x, y, heading, now)
      return
    }
    const moved = x !== this.toX[slot] || y !== this.toY[slot]
    if (!moved && Object.is(Math.fround(heading), this.toHeading[slot])) return
    const gap = now - this.changedAt[slot]!
    const shown = this.locate(slot, now)
    if (moved && isJump(shown, x, y, gap)) {
      this.settle(slot, x, y, heading, now)
      return
    }
    this.fromX[slot] = shown.x
    this.fromY[slot] = shown.y
    this.fromHeading[slot] = shown.heading
    this.toX[slot] = x
    this.toY[slot] = y
    this.toHeading[slot] = heading
    this.start[slot] = now
    this.changedAt[slot] = now
    this.glide[slot] = Math.max(MIN_GLIDE, Math.min(MAX_GLIDE, gap * 1.1))
    this.movingUntil = Math.max(this.movingUntil, now + this.glide[slot]!)
  }

  private settle(slot: number, x: number, y: number, heading: number, now: number): void {
    this.fromX[slot] = this.toX[slot] = x
    this.fromY[slot] = this.toY[slot] = y
    this.fromHeading[slot] = this.toHeading[slot] = heading
    this.start[slot] = this.changedAt[slot] = now
    this.glide[slot] = 0
  }

  private drop(entry: Entry): void {
    this.entries.delete(entry.id)
    this.uncount(entry)
    if (this.placed[entry.slot]) this.placedCount--
    this.placed[entry.slot] = 0
    this.bySlot[entry.slot] = undefined
    this.free.push(entry.slot)
    this.touch(entry.slot)
    this.membership++
    this.version++
  }

  private uncount(entry: Entry): void {
    this.counts[entry.status]--
    const left = (this.fleets.get(entry.fleet) ?? 1) - 1
    if (left > 0) this.fleets.set(entry.fleet, left)
    else this.fleets.delete(entry.fleet)
  }

  private allocate(): number {
    const free = this.free.pop()
    if (free !== undefined) return free
    const slot = this.bySlot.length
    this.bySlot.push(undefined)
    if (slot >= this.capacity) this.grow()
    return slot
  }

  private grow(): void {
    this.capacity *= 2
    const longer = <T extends Float64Array | Float32Array | Uint8Array>(old: T, fresh: T): T => { fresh.set(old); return fresh }
    this.fromX = longer(this.fromX, new Float64Array(this.capacity))
    this.fromY = longer(this.fromY, new Float64Array(this.capacity))
    this.toX = longer(this.toX, new Float64Array(this.capacity))
    this.toY = longer(this.toY, new Float64Array(this.capacity))
    this.fromHeading = longer(this.fromHeading, new Float32Array(this.capacity))
    this.toHeading = longer(this.toHeading, new Float32Array(this.capacity))
    this.start = longer(this.start, new Float64Array(this.capacity))
    this.glide = longer(this.glide, new Float64Array(this.capacity))
    this.changedAt = longer(this.changedAt, new Float64Array(this.capacity))
    this.received = longer(this.received, new Float64Array(this.capacity))
    this.placed = longer(this.placed, new Uint8Array(this.capacity))
    this.dirtyFlag = longer(this.dirtyFlag, new Uint8Array(this.capacity))
  }
}

export function isNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value)
}

function describe(entry: Entry, asset: Asset): void {
  entry.asset = asset
  const status = STATUSES.includes(asset.status) ? asset.status : 'unknown'
  const label = typeof asset.name === 'string' && asset.name !== '' ? asset.name : asset.id
  const fleet = typeof asset.fleet === 'string' ? asset.fleet : ''
  if (entry.key !== '' && entry.status === status && entry.label === label && entry.fleet === fleet) return
  entry.status = status
  entry.label = label
  entry.fleet = fleet
  entry.key = `${status}\n${label}\n${fleet}`
  entry.search = `${label}\n${asset.id}\n${fleet}`.toLowerCase()
}

function isJump(shown: Place, x: number, y: number, gap: number): boolean {
  const dx = metres(shortestX(shown.x, x), y)
  const dy = metres(y - shown.y, y)
  const way = Math.hypot(dx, dy)
  return way > JUMP_METRES && way / (Math.max(gap, MIN_GLIDE) / 1000) > MAX_GLIDE_SPEED
}
