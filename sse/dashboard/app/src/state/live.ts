// Ties the stream to what the page holds. Whatever comes is applied once a frame, off React's render path; components
// look at it twice a second, which is as fast as a list can be read.

import { connect, type State } from '@fleetcast/client'
import { m } from '../messages.ts'
import { Alerts, severityOf } from './alerts.ts'
import { chime } from './chime.ts'
import type { Clock } from './clock.ts'
import { Commands } from './commands.ts'
import { Fleet, type Asset } from './fleet.ts'
import { History } from './history.ts'
import { sound } from './prefs.ts'
import { checkSession, session } from './session.ts'
import { Signal, Value } from './store.ts'

const LOOK = 500

export const fleet = new Fleet()
export const history = new History() // of the numbers of each asset, for charts
export const alerts = new Alerts()
export const commands = new Commands()
export const connection = connect()
export const clock: Clock = { now: () => connection.serverNow() }
export const streamState = new Value<State>('connecting')
export const look = new Signal() // twice a second, while the page is seen
export const applied = new Signal() // whenever something was applied
export const began = new Signal() // somebody has signed in
export const selected = new Value('') // the id of the asset that is looked at
export const announcement = new Value('') // for who hears the page
export const following = new Value(false) // whether the map goes with it

connection.store.subscribe(({ changed, removed, reset }) => {
  const now = performance.now()
  if (reset) for (const id of [...fleet.entries.keys()]) if (!connection.store.get(id)) drop(id)
  for (const id of removed) drop(id)
  for (const id of changed) {
    const asset = connection.store.get(id)
    if (asset && fleet.put(asset as Asset, now)) history.take(asset as Asset)
  }
  applied.emit()
})
function drop(id: string): void {
  fleet.remove(id)
  history.forget(id)
}

connection.on('alert', alert => alerts.step(alert))
connection.on('command', command => commands.step(command))
// What was said of alerts before a reset is not told again.
connection.on('reset', () => { void alerts.load() })
connection.on('state', state => {
  document.documentElement.dataset.stream = state
  if (state === 'signed-out') session.set({ kind: 'out' })
  // A stream that ended may have ended because the gateway asks who is there.
  if (state === 'offline') void checkSession()
  streamState.set(state)
})

alerts.onRaised = alert => {
  announcement.set(m.alerts.announce(alert.name ?? alert.rule, fleet.get(alert.device)?.label ?? alert.device))
  if (sound.get()) chime(severityOf(alert) === 'critical')
}
alerts.onDevice = (device, rank) => {
  const entry = fleet.get(device)
  if (!entry || entry.alert === rank) return
  entry.alert = rank
  fleet.membership++
  fleet.touch(entry.slot)
  applied.emit()
}
// An alert may be known before its asset is.
let rankedAt = -1
applied.subscribe(() => {
  if (fleet.membership === rankedAt) return
  rankedAt = fleet.membership
  for (const [device, rank] of alerts.ranks()) alerts.onDevice(device, rank)
})

// How old what the page shows is: null before anything came.
export function sinceMessage(): number | null {
  return connection.lastHeard === null ? null : Math.max(0, Date.now() - connection.lastHeard)
}

export function startLive(): void {
  document.documentElement.dataset.stream = connection.state
  setInterval(() => { if (!document.hidden) look.emit() }, LOOK)
  if (session.get().kind === 'asking') void checkSession()
}

// Somebody has signed in.
export function begin(): void {
  connection.reconnect()
  void alerts.load()
  began.emit()
}
