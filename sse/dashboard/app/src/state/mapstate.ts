// The map, for those who draw on it, and the trail of the selected asset, which the details show too.

import { Trail } from '../map/trail.ts'
import type { LiveMap } from '../map/livemap.ts'
import { Value } from './store.ts'

export const mapValue = new Value<LiveMap | null>(null)
export const trail = new Trail()
