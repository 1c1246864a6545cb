// The assets as the page holds them: the newest of each by id, and where each stands on the map at a given moment.
// It knows no DOM. Times named `now` are a monotonic clock in milliseconds (performance.now), never the asset's own.

import { mercatorX, mercatorY, metres, shortestTurn, shortestX } from './geo.js'

export const STATUSES = ['online', 'offline', 'unknown']

// A pin glides to a new place in the time that its device took to get there, within these bounds: shorter looks like a
// jump, longer shows a place where the device has not been for seconds.
const MIN_GLIDE = 200
const MAX_GLIDE = 3000
// Faster than this it was no drive: the pin jumps. 400 m/s is above any airliner.
const MAX_GLIDE_SPEED = 400
const JUMP_METRES = 2000
// Points of the trail that a pin leaves while the page is open.
const MAX_TRAIL = 60

export class Fleet {
  constructor() {
    this.entries = new Map()
    this.counts = { online: 0, offline: 0, unknown: 0 }
    this.membership = 0 // changes when an asset comes, goes, or changes what the list sorts and filters by
    this.movingUntil = 0
  }

  get size() {
    return this.entries.size
  }

  get(id) {
    return this.entries.get(id)
  }

  values() {
    return this.entries.values()
  }

  // Takes a whole asset, as each message holds one. Returns false for what is no asset.
  put(asset, now) {
    if (asset === null || typeof asset !== 'object' || typeof asset.id !== 'string') return false
    let entry = this.entries.get(asset.id)
    if (!entry) {
      entry = newEntry(asset.id)
      this.entries.set(asset.id, entry)
      this.membership++
    } else {
      this.counts[entry.status]--
    }
    const before = entry.key
    describe(entry, asset)
    if (entry.key !== before) this.membership++
    this.counts[entry.status]++
    this.place(entry, asset, now)
    return true
  }

  // Removes id, unless it is held with another fleet: then the device has moved and its new asset came first.
  remove(id, fleet) {
    const entry = this.entries.get(id)
    if (!entry || entry.asset.fleet !== fleet) return false
    this.entries.delete(id)
    this.counts[entry.status]--
    this.membership++
    return true
  }

  clear() {
    this.entries.clear()
    this.counts = { online: 0, offline: 0, unknown: 0 }
    this.membership++
  }

  place(entry, asset, now) {
    if (!Number.isFinite(asset.lat) || !Number.isFinite(asset.lon)) {
      entry.placed = false
      return
    }
    const target = { x: mercatorX(asset.lon), y: mercatorY(asset.lat), heading: headingOf(asset) }
    if (!entry.placed) {
      settle(entry, target, now)
      return
    }
    const moved = target.x !== entry.target.x || target.y !== entry.target.y
    if (!moved && target.heading === entry.target.heading) return
    const gap = now - entry.changed
    locate(entry, now)
    if (moved && isJump(entry.shown, target, gap)) {
      settle(entry, target, now)
      return
    }
    entry.from = { ...entry.shown }
    entry.target = target
    entry.start = now
    entry.changed = now
    entry.glide = Math.max(MIN_GLIDE, Math.min(MAX_GLIDE, gap * 1.1))
    if (moved) leaveTrail(entry, target)
    this.movingUntil = Math.max(this.movingUntil, now + entry.glide)
  }
}

function newEntry(id) {
  return {
    id, asset: null, status: 'unknown', label: id, key: '', search: '',
    placed: false, changed: 0, start: 0, glide: 0,
    from: null, target: null, shown: { x: 0, y: 0, heading: 0, hasHeading: false }, trail: [],
    match: true, // set by the list's filter; the map draws the others faintly
  }
}

function describe(entry, asset) {
  entry.asset = asset
  entry.status = STATUSES.includes(asset.status) ? asset.status : 'unknown'
  entry.label = typeof asset.name === 'string' && asset.name !== '' ? asset.name : asset.id
  const fleet = typeof asset.fleet === 'string' ? asset.fleet : ''
  const key = `${entry.status}\n${entry.label}\n${fleet}`
  if (key === entry.key) return
  entry.key = key
  entry.search = `${entry.label}\n${asset.id}\n${fleet}`.toLowerCase()
}

function headingOf(asset) {
  return Number.isFinite(asset.heading) ? asset.heading : null
}

function isJump(shown, target, gap) {
  const dx = metres(shortestX(shown.x, target.x), target.y)
  const dy = metres(target.y - shown.y, target.y)
  const distance = Math.hypot(dx, dy)
  return distance > JUMP_METRES && distance / (Math.max(gap, MIN_GLIDE) / 1000) > MAX_GLIDE_SPEED
}

function settle(entry, target, now) {
  entry.placed = true
  entry.target = target
  entry.from = null
  entry.changed = now
  entry.trail = []
  leaveTrail(entry, target)
  locate(entry, now)
}

function leaveTrail(entry, place) {
  entry.trail.push({ x: place.x, y: place.y })
  if (entry.trail.length > MAX_TRAIL) entry.trail.shift()
}

// Sets entry.shown to where the pin stands at now. It writes into one object: this runs for thousands of pins a frame.
export function locate(entry, now) {
  const { shown, target, from } = entry
  shown.hasHeading = target.heading !== null
  const part = from ? (now - entry.start) / entry.glide : 1
  if (part >= 1) {
    entry.from = null
    shown.x = target.x
    shown.y = target.y
    if (shown.hasHeading) shown.heading = target.heading
    return
  }
  shown.x = from.x + shortestX(from.x, target.x) * part
  shown.y = from.y + (target.y - from.y) * part
  if (!shown.hasHeading) return
  // A turn is done in half the time of the way: a vehicle looks where it goes before it is there.
  const turned = Math.min(1, part * 2)
  const begin = from.hasHeading ? from.heading : target.heading
  shown.heading = begin + shortestTurn(begin, target.heading) * turned
}
