// The alerts as the page holds them: the newest step of each by id, and the worst open one of each device.

import { call, get, isAbsent } from './api.ts'
import { Signal } from './store.ts'

export type Severity = 'info' | 'warning' | 'critical'
export type AlertState = 'raised' | 'acknowledged' | 'cleared'

export interface Alert {
  id: string
  rule: string
  name?: string
  severity?: Severity
  device: string
  fleet: string
  state: AlertState
  at: number
  raised: number
  value?: number
  lat?: number
  lon?: number
  by?: string
  text?: string
}

export const RANK: Record<Severity, number> = { info: 1, warning: 2, critical: 3 }
const MAX_ALERTS = 1000 // the oldest cleared ones go first
const PAGE = 500
const STEP: Record<AlertState, number> = { raised: 0, acknowledged: 1, cleared: 2 }

export function severityOf(alert: Alert): Severity {
  return alert.severity !== undefined && alert.severity in RANK ? alert.severity : 'warning'
}

export class Alerts extends Signal {
  readonly byId = new Map<string, Alert>()
  available = false // whether the gateway has alerts at all
  // Called with the devices whose worst open alert may have changed.
  onDevice: (device: string, rank: number) => void = () => {}
  onRaised: (alert: Alert) => void = () => {}

  // The stream tells what happens; what was before it is asked for once.
  async load(): Promise<void> {
    try {
      const { alerts } = await get<{ alerts: Alert[] }>(`/api/alerts?limit=${PAGE}`)
      this.available = true
      for (const alert of alerts) this.take(alert)
    } catch (error) {
      if (!isAbsent(error)) console.warn('The alerts could not be read.', error)
    }
    this.emit()
  }

  step(data: unknown): void {
    if (!isAlert(data)) return
    const isNew = !this.byId.has(data.id)
    if (!this.take(data)) return
    this.available = true
    if (isNew && data.state === 'raised') this.onRaised(data)
    this.emit()
  }

  async acknowledge(id: string, text = ''): Promise<void> {
    const alert = await call<Alert>('POST', `/api/alerts/${encodeURIComponent(id)}/acknowledge`, text === '' ? {} : { text })
    if (isAlert(alert) && this.take(alert)) this.emit()
  }

  // Newest first.
  list(): Alert[] {
    return [...this.byId.values()].sort((a, b) => b.raised - a.raised || (a.id < b.id ? 1 : -1))
  }

  of(device: string): Alert[] {
    return this.list().filter(alert => alert.device === device)
  }

  counts(): { raised: number, worst: Severity | null } {
    let raised = 0
    let worst: Severity | null = null
    for (const alert of this.byId.values()) {
      if (alert.state !== 'raised') continue
      raised++
      const severity = severityOf(alert)
      if (worst === null || RANK[severity] > RANK[worst]) worst = severity
    }
    return { raised, worst }
  }

  rankOf(device: string): number {
    let rank = 0
    for (const alert of this.byId.values()) {
      if (alert.device === device && alert.state !== 'cleared') rank = Math.max(rank, RANK[severityOf(alert)])
    }
    return rank
  }

  // The worst open alert of every device that has one.
  ranks(): Map<string, number> {
    const ranks = new Map<string, number>()
    for (const alert of this.byId.values()) {
      if (alert.state !== 'cleared') ranks.set(alert.device, Math.max(ranks.get(alert.device) ?? 0, RANK[severityOf(alert)]))
    }
    return ranks
  }

  private take(alert: Alert): boolean {
    const held = this.byId.get(alert.id)
    // A page of the past may be older than what the stream has said meanwhile.
    if (held && (held.at > alert.at || (held.at === alert.at && STEP[held.state] >= STEP[alert.state]))) return false
    this.byId.set(alert.id, alert)
    if (this.byId.size > MAX_ALERTS) this.forget()
    this.onDevice(alert.device, this.rankOf(alert.device))
    return true
  }

  private forget(): void {
    const old = this.list().reverse()
    const gone = old.find(alert => alert.state === 'cleared') ?? old[0]
    if (gone) this.byId.delete(gone.id)
  }
}

function isAlert(data: unknown): data is Alert {
  const alert = data as Alert
  return alert !== null && typeof alert === 'object' && typeof alert.id === 'string' && typeof alert.device === 'string' && alert.state in STEP
}
