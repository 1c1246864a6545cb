// The geofences that the person may see, as the gateway keeps them (bridge/rules), and as the map draws them.

import type { FeatureCollection } from 'geojson'
import { collectionOf, type Geometry } from '../acting/geometry.ts'
import { get, isAbsent } from './api.ts'
import { Signal } from './store.ts'

export interface Fence { id: string, name?: string, fleets?: string[], geometry: Geometry, revision?: number }

// The stream does not tell of fences: others' changes are seen after this.
const RELOAD = 60_000
const PAGE = 1000

export class Fences extends Signal {
  list: Fence[] = []
  available = false
  private timer: ReturnType<typeof setInterval> | undefined

  async load(): Promise<void> {
    try {
      const { fences } = await get<{ fences: Fence[] }>(`/api/fences?limit=${PAGE}`)
      this.available = true
      this.list = fences
      this.emit()
    } catch (error) {
      if (!isAbsent(error)) console.info('The geofences could not be read.', error)
    }
  }

  start(): void {
    void this.load()
    clearInterval(this.timer)
    this.timer = setInterval(() => { if (!document.hidden && this.available) void this.load() }, RELOAD)
  }

  // What the person has just changed, without asking for it again.
  take(list: Fence[]): void {
    this.list = list
    this.emit()
  }

  collection(): FeatureCollection {
    return collectionOf(this.list)
  }
}

export const fences = new Fences()
