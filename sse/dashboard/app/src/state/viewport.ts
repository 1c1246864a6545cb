// A fleet that is too large to watch as a whole: from LARGE assets on the stream shows what the map shows and a margin
// around it. The board then holds what is near.

import type { LiveMap } from '../map/livemap.ts'
import { connection, fleet, look } from './live.ts'
import { Value } from './store.ts'
import { widen, type Box } from '../geo.ts'

export const LARGE = 20_000
const SETTLE = 300 // ms: a map that is dragged asks once

export const isLarge = new Value(false)

export function followViewport(live: LiveMap): () => void {
  let timer = 0
  const ask = () => {
    clearTimeout(timer)
    timer = window.setTimeout(() => connection.setView({ bbox: boxOf(live) }), SETTLE)
  }
  const grown = look.subscribe(() => {
    if (isLarge.get() || fleet.size < LARGE) return
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

function boxOf(live: LiveMap): Box | null {
  const bounds = live.map.getBounds()
  return widen([bounds.getWest(), bounds.getSouth(), bounds.getEast(), bounds.getNorth()])
}
