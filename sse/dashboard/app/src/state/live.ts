// Ties the stream to what the page holds. Whatever comes is applied once a frame, off React's render path; components
// look at it twice a second, which is as fast as a list can be read.

import { Alerts } from './alerts.ts'
import { ServerClock } from './clock.ts'
import { Commands } from './commands.ts'
import { Fleet, type Asset } from './fleet.ts'
import { checkSession } from './session.ts'
import { Signal, Value } from './store.ts'
import { AssetStream, type StreamState } from './stream.ts'

const LOOK = 500
// A hidden page draws no frames; what comes is applied all the same, or it would pile up.
const HIDDEN_APPLY = 1000

type Change = { kind: 'assets', assets: unknown[] } | { kind: 'removed', id: string, fleet: string } | { kind: 'reset' }

export const fleet = new Fleet()
export const clock = new ServerClock()
export const alerts = new Alerts()
export const commands = new Commands()
export const streamState = new Value<StreamState>('connecting')
export const look = new Signal() // twice a second, while the page is seen
export const applied = new Signal() // whenever something was applied
export const selected = new Value('') // the id of the asset that is looked at
export const following = new Value(false) // whether the map goes with it
export let lagMs: number | null = null

let queue: Change[] = []
let waiting = false

function later(): void {
  if (waiting) return
  waiting = true
  if (document.hidden) setTimeout(apply, HIDDEN_APPLY)
  else requestAnimationFrame(apply)
}

function apply(): void {
  waiting = false
  const changes = queue
  queue = []
  const now = performance.now()
  for (const change of changes) {
    if (change.kind === 'assets') {
      for (const asset of change.assets as Asset[]) {
        if (fleet.put(asset, now)) clock.witness(asset.received)
      }
    } else if (change.kind === 'removed') {
      fleet.remove(change.id, change.fleet)
    } else {
      fleet.clear()
    }
  }
  applied.emit()
}

function change(next: Change): void {
  queue.push(next)
  later()
}

export const stream = new AssetStream('/stream/assets?format=batch', {
  assets: assets => change({ kind: 'assets', assets }),
  removed: ({ id, fleet: of }) => change({ kind: 'removed', id, fleet: of }),
  reset: () => change({ kind: 'reset' }),
  ready: () => later(),
  heartbeat({ now, lag_ms: lag }) {
    clock.hear(now)
    lagMs = typeof lag === 'number' && Number.isFinite(lag) ? lag : null
  },
  alert: data => alerts.step(data),
  command: data => commands.step(data),
  refused: () => { void checkSession() },
  state(state) {
    if (state !== 'live') lagMs = null // said by a connection that is gone
    document.documentElement.dataset.stream = state
    streamState.set(state)
  },
})

alerts.onDevice = (device, rank) => {
  const entry = fleet.get(device)
  if (!entry || entry.alert === rank) return
  entry.alert = rank
  fleet.membership++
  fleet.touch(entry.slot)
}
// An alert may be known before its asset is.
let rankedAt = -1
applied.subscribe(() => {
  if (fleet.membership === rankedAt) return
  for (const [device, rank] of alerts.ranks()) alerts.onDevice(device, rank)
  rankedAt = fleet.membership
})

// How old what the page shows is: null before anything came.
export function sinceMessage(): number | null {
  return stream.lastMessage === null ? null : Date.now() - stream.lastMessage
}

export function startLive(): void {
  setInterval(() => { if (!document.hidden) look.emit() }, LOOK)
  stream.start()
  // A page that the browser keeps for the back button must not hold one of its six connections to the gateway.
  addEventListener('pagehide', () => stream.stop())
  addEventListener('pageshow', event => { if (event.persisted) stream.start() })
}
