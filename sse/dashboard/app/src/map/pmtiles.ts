// Teaches MapLibre to read one file of tiles by ranges. It is loaded only where the map is such a file.

import { addProtocol } from 'maplibre-gl'
import { Protocol } from 'pmtiles'

let taught = false

export function readPMTiles(): void {
  if (taught) return
  taught = true
  addProtocol('pmtiles', new Protocol().tile)
}
