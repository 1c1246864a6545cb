// What the board shows of the fleet: a filter, an order, and the assets that pass.

import type { Entry, Fleet, Status } from './fleet.ts'
import { Signal } from './store.ts'

export type Order = 'name' | 'heard' | 'speed' | 'battery' | 'alert'
export const ORDERS: readonly Order[] = ['name', 'alert', 'heard', 'speed', 'battery']

const RESORT = 1000 // orders by what changes all the time
const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' })

export class BoardState extends Signal {
  search = ''
  status: Status | 'all' = 'all'
  fleetName = ''
  order: Order = 'name'
  shown: Entry[] = []
  // Called when the filter has changed which pins are faint.
  onFilter: () => void = () => {}
  private membership = -1
  private fleetVersion = -1
  private sortedAt = 0

  constructor(private fleet: Fleet) { super() }

  set(change: Partial<Pick<BoardState, 'search' | 'status' | 'fleetName' | 'order'>>): void {
    Object.assign(this, change)
    this.membership = -1
    this.refresh(true)
  }

  isFiltered(): boolean { return this.search.trim() !== '' || this.status !== 'all' || this.fleetName !== '' }

  // Brings `shown` up to date where something has changed that it depends on.
  refresh(force = false, now = performance.now()): void {
    const { fleet } = this
    const byMembership = fleet.membership !== this.membership
    const byValue = this.order !== 'name' && fleet.version !== this.fleetVersion && now - this.sortedAt >= RESORT
    if (!force && !byMembership && !byValue) return
    const words = this.search.toLowerCase().split(/\s+/).filter(word => word !== '')
    let changed = false
    const shown: Entry[] = []
    for (const entry of fleet.entries.values()) {
      const match = (this.status === 'all' || entry.status === this.status) && (this.fleetName === '' || entry.fleet === this.fleetName) &&
        words.every(word => entry.search.includes(word))
      if (match !== entry.match) {
        entry.match = match
        changed = true
      }
      if (match) shown.push(entry)
    }
    shown.sort(COMPARE[this.order])
    this.shown = shown
    this.membership = fleet.membership
    this.fleetVersion = fleet.version
    this.sortedAt = now
    if (changed || force) this.onFilter()
    this.emit()
  }
}

const byName = (a: Entry, b: Entry) => collator.compare(a.label, b.label) || (a.id < b.id ? -1 : 1)
const number = (value: number | undefined, absent: number) => typeof value === 'number' ? value : absent

export const COMPARE: Record<Order, (a: Entry, b: Entry) => number> = {
  name: byName,
  heard: (a, b) => Math.round(b.asset.received / 60000) - Math.round(a.asset.received / 60000) || byName(a, b),
  speed: (a, b) => number(b.asset.speed, -1) - number(a.asset.speed, -1) || byName(a, b),
  battery: (a, b) => number(a.asset.battery, 101) - number(b.asset.battery, 101) || byName(a, b),
  alert: (a, b) => b.alert - a.alert || byName(a, b),
}
