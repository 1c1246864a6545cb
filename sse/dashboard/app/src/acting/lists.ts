// The lists that may be edited.

import { fences as onMap, type Fence } from '../state/fences.ts'
import { fleet as live } from '../state/live.ts'
import { session } from '../state/session.ts'
import { Things } from './api.ts'

export type { Fence }

export type ConditionType = 'threshold' | 'offline' | 'fence' | 'expression'
export interface Condition {
  type: ConditionType
  field?: string
  above?: number
  below?: number
  hysteresis?: number
  fence?: string
  on?: string
  expression?: string
}
export interface Rule {
  id: string
  name?: string
  disabled?: boolean
  severity?: 'info' | 'warning' | 'critical'
  fleets?: string[]
  devices?: string[]
  when: Condition
  for_s?: number
  revision?: number
}
export type Limits = Record<string, number>
export type Metadata = Record<string, string>
export interface FleetItem {
  id: string, name?: string, devices: number, silence_s?: number, retire_after_s?: number, alerts_s?: number, history_s?: number, max_devices?: number, limits?: Limits, metadata?: Metadata, hygiene?: Record<string, unknown>, revision?: number
}
export interface DeviceItem {
  id: string, fleet: string, name?: string, status: 'enabled' | 'disabled', credential: string, auto?: boolean, limits?: Limits, metadata?: Metadata, created: number, revision?: number
}
export interface TopicRule { filter: string, publish?: boolean, subscribe?: boolean }
/** The MQTT account of a gateway or a client. */
export interface Account { name: string, kind: 'gateway' | 'client', fleets?: string[], rules?: TopicRule[], status: 'enabled' | 'disabled', token?: string, revision?: number }
export interface Webhook {
  id: string, url: string, events: string[], fleets?: string[], disabled?: boolean, reason?: string, secret?: string, revision?: number
  status: { state: 'new' | 'ok' | 'failing' | 'disabled', failing_since?: number, delivered_at?: number, last_status?: number, last_error?: string, dropped: number }
}
export interface Stranger { id: string, fleet?: string, address?: string, has_password: boolean, seen: number, revision?: number }

export const fences = new Things<Fence>('/api/fences', 'fences')
fences.subscribe(() => { if (fences.state === 'ready') onMap.take(fences.items) })
export const rules = new Things<Rule>('/api/rules', 'rules')
export const webhooks = new Things<Webhook>('/api/webhooks', 'webhooks')
export const fleets = new Things<FleetItem>('/api/fleets', 'fleets')

/** Names of fleets that this person may act on: those of the registry and those that are live. */
export function fleetNames(): string[] {
  const state = session.get()
  const mine = state.kind === 'in' && !state.session.all_fleets ? state.session.fleets : undefined
  const known = new Set([...fleets.items.map(f => f.id), ...live.fleets.keys(), ...(mine ?? [])])
  return [...known].filter(name => !mine || mine.includes(name)).sort()
}
