// What the stream says, as types. DESIGN.md's section on wire contracts is the source; members that a newer gateway
// adds are simply there.

/** The newest state of a device: always whole, so that one replaces the other by id. Unknown members are absent. */
export interface Asset {
  id: string
  fleet: string
  /** When we last heard of the device, unix ms, by the gateway's clock. */
  received: number
  status: 'online' | 'offline' | 'unknown'
  name?: string
  /** When the position was taken, unix ms. */
  at?: number
  /** Degrees, WGS 84. */
  lat?: number
  lon?: number
  /** Metres above sea. */
  altitude?: number
  /** Metres a second. */
  speed?: number
  /** Degrees from true north, clockwise. */
  heading?: number
  /** Metres. */
  accuracy?: number
  /** Percent. */
  battery?: number
  metrics?: Record<string, number | string | boolean>
}

/** An asset is gone: deleted, moved to another fleet, or out of the view. */
export interface Removed {
  id: string
  fleet: string
}

/** All that there is has been sent; what follows is live. */
export interface Ready {
  sid: string
  assets: number
  position: string
}

/** Drop everything: a snapshot and a `ready` follow. `reason` is for people. */
export interface Reset {
  reason: string
}

export interface Heartbeat {
  /** The gateway's clock, unix ms. */
  now: number
  /** How late what you see may be, ms. */
  lag_ms: number
}

/** One step of an alert's life. */
export interface Alert {
  id: string
  rule: string
  name?: string
  severity?: string
  device: string
  fleet: string
  state: 'raised' | 'acknowledged' | 'cleared'
  /** Of this step, unix ms. */
  at: number
  raised: number
  value?: number
  lat?: number
  lon?: number
  by?: string
  text?: string
}

/** One step of a command. */
export interface Command {
  id: string
  device: string
  fleet: string
  name: string
  params?: unknown
  state: 'accepted' | 'sent' | 'delivered' | 'done' | 'failed' | 'expired'
  /** Of this state, unix ms. */
  at: number
  accepted: number
  expires: number
  by?: string
  result?: unknown
  error?: string
  truncated?: boolean
}

/** What of the fleets a stream shows. An absent member does not narrow. */
export interface View {
  fleets?: readonly string[]
  devices?: readonly string[]
  /** west, south, east, north in degrees; west > east crosses 180°. */
  bbox?: readonly [number, number, number, number] | null
  /** Members of the asset; id, fleet, status and received always come. */
  fields?: readonly string[]
  /** Milliseconds between updates, 100 to 60,000. */
  every?: number
}

/**
 * How things stand, in one word:
 * - connecting: no stream yet, or not again.
 * - catching-up: it is open and what was missed is coming.
 * - live: all is here, and no later than `lagMs` says.
 * - stale: it is open, but late: the gateway says so, or a heartbeat is overdue.
 * - offline: it was lost; attempts go on.
 * - signed-out: the gateway asks who is there. Attempts stop until `reconnect()`.
 * - paused: no tab is visible, see `Options.hidden`.
 * - closed: by `close()`.
 */
export type State = 'connecting' | 'catching-up' | 'live' | 'stale' | 'offline' | 'signed-out' | 'paused' | 'closed'

/** What a connection tells, by name. */
export interface Events {
  /** Whole assets, to replace what is held by id. */
  assets: readonly Asset[]
  removed: Removed
  /** Drop everything. Who keeps a list of alerts or commands should read it anew. */
  reset: Reset
  ready: Ready
  alert: Alert
  command: Command
  heartbeat: Heartbeat
  /** The view of `setView` with this number is in force; what comes from here on is of it. */
  view: { seq: number }
  state: State
  /** Something is wrong that a person should know: refused, or not understood. The connection goes on. */
  error: Error
}

export type EventName = keyof Events
export type Listener<N extends EventName> = (data: Events[N]) => void
