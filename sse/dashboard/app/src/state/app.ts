// What the person does that more than one part has to know of.

import { BoardState } from './board.ts'
import { fleet, following, selected } from './live.ts'
import { go, route } from './route.ts'
import { Value } from './store.ts'

export const board = new BoardState(fleet)

// Where something was chosen: from the list the map goes there.
export const chosenFrom = new Value<'list' | 'map' | 'link'>('link')

// Sections beside which an asset may be looked at; behind their name stands its id.
export const ASSET_SECTIONS = ['map', 'alerts']

export function choose(id: string, from: 'list' | 'map' | 'link'): void {
  chosenFrom.set(from)
  if (id !== selected.get()) following.set(false)
  selected.set(id)
  const { name } = route.get()
  if (ASSET_SECTIONS.includes(name)) go(name, id)
  else if (id !== '') go('map', id) // a click beside all assets leaves no panel
}

// A link to an asset, and the button back, choose too.
function obey(): void {
  const { name, arg } = route.get()
  if (!ASSET_SECTIONS.includes(name) || arg === selected.get()) return
  chosenFrom.set('link')
  following.set(false)
  selected.set(arg)
}
route.subscribe(obey)
obey()
