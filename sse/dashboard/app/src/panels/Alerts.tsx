// The alert feed: live, filtered, acknowledged.

import { useState } from 'react'
import { age, few } from '../format.ts'
import { m } from '../messages.ts'
import { severityOf, type Alert, type Severity } from '../state/alerts.ts'
import { chime } from '../state/chime.ts'
import { choose } from '../state/app.ts'
import { alerts, clock, fleet, look, selected } from '../state/live.ts'
import { sound } from '../state/prefs.ts'
import { may } from '../state/session.ts'
import { useSignal, useValue } from '../state/store.ts'
import { Icon } from '../ui/Icon.tsx'
import { alertInWords } from '../units.ts'

type Filter = 'open' | 'raised' | 'cleared' | 'all'
const FILTERS: Filter[] = ['open', 'raised', 'cleared', 'all']
const SEVERITIES: Severity[] = ['critical', 'warning', 'info']
const MOST = 200

export function AlertsPanel() {
  useSignal(alerts)
  useSignal(look)
  const loud = useValue(sound)
  const chosen = useValue(selected)
  const [filter, setFilter] = useState<Filter>('open')
  const [severity, setSeverity] = useState<Severity | 'all'>('all')
  const all = alerts.list()
  const shown = all.filter(a => (severity === 'all' || severityOf(a) === severity) && passes(a, filter))
  return (
    <section className="panel alerts" aria-label={m.alerts.title}>
      <header className="tools">
        <div className="heading"><h1>{m.alerts.title}</h1>
          <button type="button" className="quiet-button" aria-pressed={loud} title={loud ? m.alerts.soundOn : m.alerts.soundOff} aria-label={loud ? m.alerts.soundOn : m.alerts.soundOff} onClick={() => { sound.set(!loud); if (!loud) chime(false) }}>
            <Icon name={loud ? 'sound' : 'mute'} size={18} />
          </button>
        </div>
        <div className="chips" role="group" aria-label={m.alerts.filter}>
          {FILTERS.map(f => (
            <button key={f} type="button" className="chip" aria-pressed={f === filter} onClick={() => setFilter(f)}>{m.alerts[f]} <b>{few(all.filter(a => passes(a, f)).length)}</b></button>
          ))}
        </div>
        <div className="chips" role="group" aria-label={m.alerts.severity}>
          {SEVERITIES.map(s => (
            <button key={s} type="button" className="chip" aria-pressed={s === severity} onClick={() => setSeverity(s === severity ? 'all' : s)}>
              <span className={`dot severity ${s}`} aria-hidden="true" />{m.severity[s]}
            </button>
          ))}
        </div>
      </header>
      {shown.length === 0 ? (
        <div className="nothing">
          <span className="calm"><Icon name="check" size={26} /></span>
          <p><strong>{all.length === 0 ? m.alerts.none : m.alerts.noneMatch}</strong></p>
          {all.length === 0 && <p className="quiet">{alerts.available ? m.alerts.noneText : m.alerts.unavailable}</p>}
        </div>
      ) : (
        <ol className="feed">{shown.slice(0, MOST).map(alert => <AlertItem key={alert.id} alert={alert} chosen={alert.device === chosen} />)}</ol>
      )}
    </section>
  )
}

function passes(alert: Alert, filter: Filter): boolean {
  if (filter === 'all') return true
  return filter === 'open' ? alert.state !== 'cleared' : alert.state === filter
}

export function AlertItem({ alert, chosen, compact = false }: { alert: Alert, chosen: boolean, compact?: boolean }) {
  const [trouble, setTrouble] = useState('')
  const severity = severityOf(alert)
  const device = fleet.get(alert.device)?.label ?? alert.device
  const what = alertInWords(alert.text ?? '')
  const acknowledge = async () => {
    try {
      await alerts.acknowledge(alert.id)
      setTrouble('')
    } catch (error) {
      setTrouble(error instanceof Error ? error.message : m.alerts.failed)
    }
  }
  return (
    <li className="alert" data-state={alert.state} data-severity={severity} data-id={alert.id} data-chosen={chosen || undefined}>
      <button type="button" className="face" onClick={() => choose(alert.device, 'list')} disabled={compact}>
        <span className={`dot severity ${severity}`} role="img" aria-label={m.severity[severity]} />
        <strong>{alert.name ?? alert.rule}</strong>
        <time className="age">{m.details.ago(age(clock.now() - alert.raised))}</time>
        <span className="what">{compact ? what : <>{device}{what && <> · {what}</>}</>}</span>
        {alert.state !== 'raised' && (
          <span className="sub">{alert.state === 'acknowledged' ? m.alerts.acknowledged : m.alerts.cleared}{alert.by && <> {m.alerts.by(alert.by)}</>}</span>
        )}
      </button>
      {alert.state === 'raised' && may('operator') && (
        <button type="button" className="button small" onClick={() => { void acknowledge() }}>{m.alerts.acknowledge}</button>
      )}
      {trouble !== '' && <p className="trouble" role="alert">{trouble}</p>}
    </li>
  )
}
