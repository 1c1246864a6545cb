// All that is known of one asset.

import { useEffect, useState } from 'react'
import { age, heading, kmh, number, position } from '../format.ts'
import { m } from '../messages.ts'
import { choose } from '../state/app.ts'
import { FRESH, OLD } from '../state/clock.ts'
import { isNumber, type Asset } from '../state/fleet.ts'
import { may, session } from '../state/session.ts'
import { alerts, clock, commands, fleet, following, look, streamState } from '../state/live.ts'
import { mapValue, trail } from '../state/mapstate.ts'
import { useSignal, useValue } from '../state/store.ts'
import { isLarge, seek } from '../state/viewport.ts'
import { Chart } from '../ui/Chart.tsx'
import { Icon } from '../ui/Icon.tsx'
import { CommandButton } from '../acting/CommandForm.tsx'
import { AlertItem } from './Alerts.tsx'
import { Metrics } from './Metrics.tsx'

export function Details({ id }: { id: string }) {
  useSignal(look)
  useSignal(trail)
  const follows = useValue(following)
  const state = useValue(streamState)
  const entry = fleet.get(id)
  useEffect(() => { void commands.load(id) }, [id])
  useEffect(() => {
    const key = (event: KeyboardEvent) => {
      if (event.key === 'Escape' && !(event.target as HTMLElement).closest('dialog, .menu')) choose('', 'map')
    }
    document.addEventListener('keydown', key)
    return () => document.removeEventListener('keydown', key)
  }, [])
  if (!entry) return state === 'live' ? <Absent id={id} /> : null
  const { asset } = entry
  const heard = clock.now() - asset.received
  const fix = isNumber(asset.at) ? clock.now() - asset.at : NaN
  return (
    <article className="details" data-view="details" aria-label={entry.label}>
      <header>
        <span className={`dot ${entry.status}`} role="img" aria-label={m.status[entry.status]} data-alert={entry.alert || undefined} />
        <div>
          <h2>{entry.label}</h2>
          <p className="sub">{entry.fleet} · {m.status[entry.status].toLowerCase()} · {m.details.ago(age(heard))}</p>
        </div>
        <Close />
      </header>
      <div className="actions">
        <button type="button" className="button" aria-pressed={follows} onClick={() => { following.set(!follows); if (!follows) mapValue.get()?.fly(id) }}>
          <Icon name="follow" size={16} />{follows ? m.details.following : m.details.follow}
        </button>
        <button type="button" className="button" onClick={() => mapValue.get()?.fly(id)}><Icon name="target" size={16} />{m.details.locate}</button>
      </div>
      <div className="scroll">
        {heard > OLD ? <p className="note"><Icon name="warning" size={16} />{m.details.old(age(heard))}</p>
          : fix > OLD && <p className="note"><Icon name="warning" size={16} />{m.details.oldFix(age(fix))}</p>}
        <Figures asset={asset} />
        <Facts asset={asset} heard={heard} fix={fix} />
        <TrailCharts />
        <Metrics asset={asset} />
        <DeviceAlerts id={id} />
        <DeviceCommands id={id} />
      </div>
    </article>
  )
}

// Not here: out of the window, of a fleet that is watched by its window, or gone.
function Absent({ id }: { id: string }) {
  const large = useValue(isLarge)
  const [sought, setSought] = useState(!large)
  useEffect(() => {
    if (large) void seek(id).then(found => setSought(!found))
  }, [id, large])
  return (
    <article className="details" aria-label={id}>
      <header><span className="dot unknown" aria-hidden="true" /><h2>{id}</h2><Close /></header>
      <p className="note" role="status">{sought ? m.details.gone : m.details.seeking}</p>
    </article>
  )
}

function Close() {
  return <button type="button" className="quiet-button close" aria-label={m.details.close} onClick={() => choose('', 'map')}><Icon name="close" size={18} /></button>
}

function Figures({ asset }: { asset: Asset }) {
  const figures: [string, string, string][] = []
  if (isNumber(asset.speed)) figures.push([m.details.speed, kmh(asset.speed), 'km/h'])
  if (isNumber(asset.battery)) figures.push([m.details.battery, number(asset.battery), '%'])
  if (isNumber(asset.heading)) figures.push([m.details.heading, heading(asset.heading).split(' ')[1] ?? '', heading(asset.heading).split(' ')[0] ?? ''])
  if (figures.length === 0) return null
  return (
    <dl className="figures">{figures.map(([name, value, unit]) => <div key={name}><dt>{name}</dt><dd>{value} <small>{unit}</small></dd></div>)}</dl>
  )
}

function Facts({ asset, heard, fix }: { asset: Asset, heard: number, fix: number }) {
  return (
    <dl className="facts">
      {isNumber(asset.lat) && isNumber(asset.lon) && <Fact name={m.details.position} value={position(asset.lat, asset.lon)} />}
      {isNumber(asset.accuracy) && <Fact name={m.details.accuracy} value={`± ${number(asset.accuracy)} m`} />}
      {isNumber(asset.altitude) && <Fact name={m.details.altitude} value={`${number(asset.altitude)} m`} />}
      {Number.isFinite(fix) && <Fact name={m.details.fix} value={m.details.ago(age(fix))} late={fix > FRESH} />}
      <Fact name={m.details.heard} value={m.details.ago(age(heard))} late={heard > FRESH} />
      <Fact name={m.details.id} value={asset.id} />
    </dl>
  )
}

function Fact({ name, value, late = false }: { name: string, value: string, late?: boolean }) {
  return <div><dt>{name}</dt><dd className={late ? 'late' : undefined}>{value}</dd></div>
}

function TrailCharts() {
  const { points, loading } = trail
  if (points.length < 3) return loading ? <section><h3>{m.details.trail}</h3><p className="quiet">…</p></section> : null
  const times = points.map(p => p.at / 1000)
  const span = points.at(-1)!.at - points[0]!.at
  const speeds = points.map(p => p.speed === null ? null : p.speed * 3.6)
  const altitudes = points.map(p => p.altitude)
  return (
    <section><h3>{m.details.trail} <span className="quiet">{m.details.trailOf(number(points.length), age(span))}</span></h3>
      {speeds.some(v => v !== null) && <Chart label={m.details.speed} unit="km/h" times={times} values={speeds} />}
      {altitudes.some(v => v !== null) && <Chart label={m.details.altitude} unit="m" times={times} values={altitudes} />}
    </section>
  )
}

function DeviceAlerts({ id }: { id: string }) {
  useSignal(alerts)
  const list = alerts.of(id).slice(0, 10)
  if (list.length === 0) return null
  return <section><h3>{m.details.alerts}</h3><ol className="feed">{list.map(alert => <AlertItem key={alert.id} alert={alert} chosen={false} compact />)}</ol></section>
}

function DeviceCommands({ id }: { id: string }) {
  useSignal(commands)
  const list = commands.of(id).slice(0, 10)
  useValue(session)
  if (!commands.available) return null
  return (
    <section><h3>{m.details.commands}</h3>
      {list.length === 0 ? <p className="quiet">{m.details.noCommands}</p> : (
        <ol className="feed">{list.map(command => (
          <li key={command.id} className="command" data-state={command.state}>
            <strong>{command.name}</strong><span className="badge">{m.command[command.state] ?? command.state}</span>
            <span className="sub">{m.details.ago(age(clock.now() - command.at))}{command.by && <> · {command.by}</>}{command.error && <> · {command.error}</>}</span>
          </li>
        ))}</ol>
      )}
      {may('operator') && <div className="command-button"><CommandButton id={id} /></div>}
    </section>
  )
}
