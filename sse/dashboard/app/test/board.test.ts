import { describe, expect, it } from 'vitest'
import { BoardState } from '../src/state/board.ts'
import { Fleet, type Asset } from '../src/state/fleet.ts'

function board(assets: (Partial<Asset> & { id: string })[]): BoardState {
  const fleet = new Fleet()
  for (const a of assets) fleet.put({ fleet: 'north', status: 'online', received: 0, ...a }, 0)
  const state = new BoardState(fleet)
  state.refresh()
  return state
}

const ids = (state: BoardState) => state.shown.map(entry => entry.id)

describe('the board', () => {
  it('sorts names as people count', () => {
    expect(ids(board([{ id: 'truck-10' }, { id: 'truck-2' }, { id: 'Truck-1' }, { id: 'x', name: 'anna' }]))).toEqual(['x', 'Truck-1', 'truck-2', 'truck-10'])
  })

  it('sorts by what matters, what lacks it last', () => {
    const state = board([{ id: 'a', speed: 3, battery: 90 }, { id: 'b' }, { id: 'c', speed: 9, battery: 10 }])
    state.set({ order: 'speed' })
    expect(ids(state)).toEqual(['c', 'a', 'b'])
    state.set({ order: 'battery' })
    expect(ids(state)).toEqual(['c', 'a', 'b'])
  })

  it('filters by every word, fleet and status, and says so to the map', () => {
    const state = board([{ id: 'truck-1', fleet: 'north' }, { id: 'truck-2', fleet: 'south', status: 'offline' }, { id: 'van', fleet: 'north' }])
    let told = 0
    state.onFilter = () => { told++ }
    state.set({ search: 'TRUCK nor' })
    expect([ids(state), told]).toEqual([['truck-1'], 1])
    state.set({ search: '', status: 'offline' })
    expect(ids(state)).toEqual(['truck-2'])
    state.set({ status: 'all', fleetName: 'north' })
    expect(ids(state)).toEqual(['truck-1', 'van'])
    expect(state.isFiltered()).toBe(true)
  })
})
