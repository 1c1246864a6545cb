// Assets that lie on each other when the map is far away become one bubble. It knows neither DOM nor map: places come
// from the fleet's last fixes, and a pass over ten thousand takes a few milliseconds.

import { shortestX } from '../geo.ts'
import type { Fleet } from '../state/fleet.ts'

export interface Cluster {
  x: number
  y: number
  count: number
  online: number
  offline: number
  unknown: number
  alert: number // the worst of its members
  west: number
  east: number
  north: number
  south: number
}

export interface Clustering {
  clusters: Cluster[]
  hidden: Uint8Array // by slot: drawn as a part of a bubble, or not at all
}

const RADIUS = 34 // pixels around the first of a cluster
const LEAST = 3 // two pins side by side can be told apart
export const CLUSTER_ZOOM = 13 // from here on every asset is a pin

// Clusters are made anew at each half step of zoom.
export function clusterLevel(zoom: number): number {
  return zoom >= CLUSTER_ZOOM ? Infinity : Math.round(zoom * 2) / 2
}

// keep is a slot that stays a pin whatever lies on it: the selected one.
export function cluster(fleet: Fleet, level: number, keep: number): Clustering {
  const n = fleet.slots
  const hidden = new Uint8Array(n)
  const clusters: Cluster[] = []
  if (!Number.isFinite(level)) return { clusters, hidden }
  const radius = RADIUS / (512 * 2 ** level)
  const across = Math.max(3, Math.floor(1 / radius)) // fewer, and the neighbours of a cell would be one twice
  const column = (x: number) => ((Math.floor(x * across) % across) + across) % across
  const row = (y: number) => Math.floor(y * across)
  const first = new Map<number, number>()
  const next = new Int32Array(n)
  const taken = new Uint8Array(n)
  for (let slot = n - 1; slot >= 0; slot--) {
    const entry = fleet.bySlot[slot]
    if (!entry || !fleet.placed[slot] || slot === keep) { taken[slot] = 1; continue }
    if (!entry.match) { taken[slot] = 1; hidden[slot] = 1; continue }
    const cell = row(fleet.toY[slot]!) * across + column(fleet.toX[slot]!)
    next[slot] = first.get(cell) ?? -1
    first.set(cell, slot)
  }
  const members: number[] = []
  for (let slot = 0; slot < n; slot++) {
    if (taken[slot]) continue
    const x = fleet.toX[slot]!
    const y = fleet.toY[slot]!
    members.length = 0
    for (let dy = -1; dy <= 1; dy++) {
      for (let dx = -1; dx <= 1; dx++) {
        const cell = (row(y) + dy) * across + (column(x) + dx + across) % across
        for (let other = first.get(cell) ?? -1; other >= 0; other = next[other]!) {
          if (taken[other]) continue
          const wx = shortestX(x, fleet.toX[other]!)
          const wy = fleet.toY[other]! - y
          if (wx * wx + wy * wy <= radius * radius) members.push(other)
        }
      }
    }
    taken[slot] = 1
    if (members.length < LEAST) continue
    clusters.push(gather(fleet, members, x))
    for (const member of members) taken[member] = hidden[member] = 1
  }
  return { clusters, hidden }
}

function gather(fleet: Fleet, members: number[], x0: number): Cluster {
  const c: Cluster = {
    x: 0, y: 0, count: members.length, online: 0, offline: 0, unknown: 0, alert: 0,
    west: Infinity, east: -Infinity, north: Infinity, south: -Infinity,
  }
  for (const slot of members) {
    const entry = fleet.bySlot[slot]!
    const x = x0 + shortestX(x0, fleet.toX[slot]!)
    const y = fleet.toY[slot]!
    c.x += x
    c.y += y
    c[entry.status]++
    c.alert = Math.max(c.alert, entry.alert)
    c.west = Math.min(c.west, x)
    c.east = Math.max(c.east, x)
    c.north = Math.min(c.north, y)
    c.south = Math.max(c.south, y)
  }
  c.x /= members.length
  c.y /= members.length
  return c
}
