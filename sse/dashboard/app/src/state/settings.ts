// What the gateway's settings say of this page.

import type { MapSettings } from '../map/basemap.ts'

export interface Settings { map: MapSettings, viewportFrom: number }

const DEFAULTS: Settings = { map: { kind: 'outlines' }, viewportFrom: 20_000 }

export async function loadSettings(): Promise<Settings> {
  try {
    const answer = await fetch('/ui.json')
    if (answer.ok) {
      const { map = DEFAULTS.map, viewport_from: viewportFrom = DEFAULTS.viewportFrom } = await answer.json() as { map?: MapSettings, viewport_from?: number }
      return { map, viewportFrom }
    }
  } catch {
    // the outlines are there without asking
  }
  return DEFAULTS
}
