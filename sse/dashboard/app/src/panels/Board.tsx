// The board: every asset, searched, filtered and sorted.

import { useEffect, useRef } from 'react'
import { age, few, kmh } from '../format.ts'
import { m } from '../messages.ts'
import { board, choose } from '../state/app.ts'
import { ORDERS, type Order } from '../state/board.ts'
import { OLD } from '../state/clock.ts'
import { isNumber, STATUSES, type Entry } from '../state/fleet.ts'
import { clock, fleet, look, selected } from '../state/live.ts'
import { useSignal, useValue } from '../state/store.ts'
import { isLarge } from '../state/viewport.ts'
import { Icon } from '../ui/Icon.tsx'
import { VirtualList } from '../ui/VirtualList.tsx'

const ROW = 58
const ORDER_NAMES: Record<Order, string> = {
  name: m.board.byName, alert: m.board.byAlert, heard: m.board.byHeard, speed: m.board.bySpeed, battery: m.board.byBattery,
}

export function Board() {
  useSignal(look)
  useSignal(board)
  const chosen = useValue(selected)
  const large = useValue(isLarge)
  const { shown } = board
  const rowOf = (i: number) => shown[i] ? <Row entry={shown[i]} /> : null
  return (
    <section className="panel board" aria-label={m.board.title}>
      <h1 className="unseen">{m.board.title}</h1>
      <div className="tools">
        <Search />
        <div className="tiles" role="group" aria-label={m.board.statusFilter}>
          <Chip label={m.board.all} count={fleet.size} on={board.status === 'all'} set={() => board.set({ status: 'all' })} />
          {STATUSES.map(status => (
            <Chip key={status} label={m.status[status]} count={fleet.counts[status]} dot={status} on={board.status === status} set={() => board.set({ status })} />
          ))}
        </div>
        <div className="selects">
          <FleetSelect />
          <label className="select"><span className="quiet">{m.board.sort}</span>
            <select value={board.order} onChange={event => board.set({ order: event.target.value as Order })}>
              {ORDERS.map(order => <option key={order} value={order}>{ORDER_NAMES[order]}</option>)}
            </select><Icon name="chevron" size={16} />
          </label>
        </div>
      </div>
      {shown.length === 0 && fleet.size > 0
        ? (
          <div className="nothing"><p>{m.board.nothing}</p>
            <button type="button" className="button" onClick={() => board.set({ search: '', status: 'all', fleetName: '' })}>{m.board.reset}</button>
          </div>
        )
        : <VirtualList count={shown.length} height={ROW} label={m.board.title} active={chosen === '' ? -1 : shown.findIndex(entry => entry.id === chosen)}
            rowId={i => shown[i]?.id ?? ''} row={rowOf} choose={i => { if (shown[i]) choose(shown[i].id, 'list') }} />}
      <p className="footer" role="status">{m.board.shown(few(shown.length), few(fleet.size))}{large && ` ${m.board.near}`}</p>
    </section>
  )
}

function Search() {
  const input = useRef<HTMLInputElement>(null)
  useEffect(() => {
    const find = (event: KeyboardEvent) => {
      if (event.key !== '/' || (event.target as HTMLElement).closest('input, textarea, select')) return
      event.preventDefault()
      input.current?.focus()
    }
    document.addEventListener('keydown', find)
    return () => document.removeEventListener('keydown', find)
  }, [])
  return (
    <div className="search">
      <Icon name="search" size={18} />
      <input ref={input} type="search" value={board.search} placeholder={m.board.search} aria-label={m.board.searchLabel} autoComplete="off" spellCheck={false}
        onChange={event => board.set({ search: event.target.value })} />
      {board.search === '' ? <kbd aria-hidden="true">/</kbd> : (
        <button type="button" aria-label={m.board.clear} onClick={() => { board.set({ search: '' }); input.current?.focus() }}><Icon name="close" size={16} /></button>
      )}
    </div>
  )
}

function Chip({ label, count, dot, on, set }: { label: string, count: number, dot?: string, on: boolean, set(): void }) {
  return (
    <button type="button" className="tile" aria-pressed={on} data-status={dot ?? 'all'} onClick={set}>
      <b>{few(count)}</b> <span>{dot && <i className={`dot ${dot}`} aria-hidden="true" />}{label}</span>
    </button>
  )
}

function FleetSelect() {
  const names = [...fleet.fleets.keys()].sort()
  if (board.fleetName !== '' && !names.includes(board.fleetName)) names.push(board.fleetName)
  return (
    <label className="select"><span className="quiet">{m.board.fleet}</span>
      <select value={board.fleetName} onChange={event => board.set({ fleetName: event.target.value })}>
        <option value="">{m.board.allFleets}</option>
        {names.map(name => <option key={name} value={name}>{name}</option>)}
      </select><Icon name="chevron" size={16} />
    </label>
  )
}

function Row({ entry }: { entry: Entry }) {
  const { asset } = entry
  const heard = clock.now() - asset.received
  const placed = isNumber(asset.lat)
  return (
    <div className={heard > OLD ? 'cells stale' : 'cells'}>
      <span className={`dot ${entry.status}`} role="img" aria-label={m.status[entry.status]} data-alert={entry.alert || undefined} />
      <span className="label">{entry.label}</span>
      <span className="value">{isNumber(asset.speed) && entry.status === 'online' ? <>{kmh(asset.speed)} <small>{m.board.kmh}</small></> : null}</span>
      <span className="sub">{entry.fleet}{entry.label !== entry.id && <> · {entry.id}</>}</span>
      <span className="age">{placed ? age(heard) : m.board.noPosition}</span>
    </div>
  )
}
