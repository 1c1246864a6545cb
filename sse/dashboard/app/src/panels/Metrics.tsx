// The metrics of one asset, and charts of the numbers that somebody wants to see, since the page was opened.

import { age, metric, metricName, number } from '../format.ts'
import { m } from '../messages.ts'
import { isNumber, type Asset } from '../state/fleet.ts'
import { MEASURES } from '../state/history.ts'
import { history } from '../state/live.ts'
import { Value, useValue } from '../state/store.ts'
import { Chart } from '../ui/Chart.tsx'
import { Icon } from '../ui/Icon.tsx'

/** Names of what is charted; null: nobody has chosen, and the first metrics are. It stays from asset to asset. */
const chosen = new Value<ReadonlySet<string> | null>(null)
const UNASKED = 2

const FACTOR: Partial<Record<string, number>> = { speed: 3.6 } // the stream has m/s; people drive km/h
const UNIT: Partial<Record<string, string>> = { speed: 'km/h', battery: '%', altitude: 'm', accuracy: 'm' }

export function Metrics({ asset }: { asset: Asset }) {
  const picked = useValue(chosen)
  const metrics = asset.metrics !== null && typeof asset.metrics === 'object' ? Object.entries(asset.metrics) : []
  const measures = MEASURES.filter(name => isNumber(asset[name]))
  const numbers = [...metrics.filter(([, value]) => isNumber(value)).map(([name]) => `metrics.${name}`), ...measures]
  if (metrics.length === 0 && measures.length === 0) return null
  const shown = picked ?? new Set(numbers.filter(name => name.startsWith('metrics.')).slice(0, UNASKED))
  const toggle = (name: string) => {
    const next = new Set(chosen.get() ?? shown) // two clicks may come before anything is drawn
    if (!next.delete(name)) next.add(name)
    chosen.set(next)
  }
  const charts = numbers.filter(name => shown.has(name))
  return (
    <section><h3>{m.details.metrics}</h3>
      {metrics.length > 0 && <dl className="facts metrics">{metrics.map(([name, value]) => <div key={name}><dt title={name}>{metricName(name)}</dt><dd>{metric(value)}</dd></div>)}</dl>}
      {numbers.length > 0 && (
        <div className="chips" role="group" aria-label={m.details.chart}>
          {numbers.map(name => (
            <button key={name} type="button" className="chip" data-metric={name} aria-pressed={shown.has(name)} onClick={() => toggle(name)}><Icon name="chart" size={13} />{labelOf(name)}</button>
          ))}
        </div>
      )}
      {charts.map(name => <MetricChart key={name} asset={asset} name={name} />)}
    </section>
  )
}

function MetricChart({ asset, name }: { asset: Asset, name: string }) {
  const { times, values } = history.of(asset, name)
  if (times.length < 2) return <p className="quiet">{m.details.noHistory(labelOf(name))}</p>
  const factor = FACTOR[name] ?? 1
  return (
    <div data-chart={name} data-samples={times.length}>
      <Chart label={labelOf(name)} unit={UNIT[name] ?? ''} times={times.map(t => t / 1000)} values={values.map(v => v === null ? null : v * factor)}
        title={m.details.historyOf(number(times.length), age(times.at(-1)! - times[0]!))} />
    </div>
  )
}

function labelOf(name: string): string {
  if (!name.startsWith('metrics.')) return m.details[name as typeof MEASURES[number]]
  const words = metricName(name.slice('metrics.'.length))
  return words.charAt(0).toUpperCase() + words.slice(1)
}
