// A fleet that is too large to watch as a whole: from so many assets on (a setting of the gateway's) the stream shows
// what the map shows and a margin around it. The board then holds what is near.

import type { LiveMap } from '../map/livemap.ts'
import { get } from './api.ts'
import { connection, fleet, look } from './live.ts'
import { isNumber, type Asset } from './fleet.ts'
import { mapValue } from './mapstate.ts'
import { Value } from './store.ts'
import { widen, type Box } from '../geo.ts'

const SETTLE = 300 // ms: a map that is dragged asks once

export const isLarge = new Value(false)

export function followViewport(live: LiveMap, from: number): () => void {
  let timer = 0
  const ask = () => {
    clearTimeout(timer)
    timer = window.setTimeout(() => connection.setView({ bbox: boxOf(live) }), SETTLE)
  }
  const grown = look.subscribe(() => {
    if (isLarge.get() || fleet.size < from) return
    isLarge.set(true)
    ask()
  })
  const moved = () => { if (isLarge.get()) ask() }
  live.map.on('moveend', moved)
  return () => {
    clearTimeout(timer)
    grown()
    live.map.off('moveend', moved)
  }
}

// What is chosen by an alert or a link may be outside of the window: the gateway knows where it is, and the window goes
// there. Returns whether there is such a place.
export async function seek(id: string): Promise<boolean> {
  try {
    const { lat, lon } = await get<Asset>(`/api/assets/${encodeURIComponent(id)}`)
    if (!isNumber(lat) || !isNumber(lon)) return false
    mapValue.get()?.show(lon, lat)
    return true
  } catch {
    return false
  }
}

function boxOf(live: LiveMap): Box | null {
  const bounds = live.map.getBounds()
  return widen([bounds.getWest(), bounds.getSouth(), bounds.getEast(), bounds.getNorth()])
}
