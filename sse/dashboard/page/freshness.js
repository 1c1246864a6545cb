// How fresh what the page shows is: the server's clock as far as the page knows it, the lag that the server admits,
// and the time since anything came.

import { age, lag, number } from './format.js'
import { CATCHING_UP, CONNECTED, CONNECTING, RECONNECTING } from './stream.js'

const WORDS = {
  [CONNECTING]: 'Connecting',
  [CATCHING_UP]: 'Catching up',
  [CONNECTED]: 'Connected',
  [RECONNECTING]: 'Reconnecting',
}
// A heartbeat comes at least every 15 s; after 20 s of nothing something is late.
const LATE_MESSAGE = 20000
const LATE_LAG = 2000

// Pins keep their full colour while the device was heard of within FRESH, and fade to FAINTEST until OLD.
const FRESH = 60000
const OLD = 600000
export const FAINTEST = 0.35

const REMEMBERED_OFFSETS = 8

// ServerClock follows the server's clock by its heartbeats. A heartbeat that was held up on its way makes the server
// look behind, never ahead, so the largest of the recent differences is the best.
export class ServerClock {
  constructor() {
    this.offsets = []
    this.offset = 0
  }

  hear(serverNow, localNow = Date.now()) {
    if (!Number.isFinite(serverNow)) return
    this.offsets.push(serverNow - localNow)
    if (this.offsets.length > REMEMBERED_OFFSETS) this.offsets.shift()
    this.offset = Math.max(...this.offsets)
  }

  // A time that the server stamped on something that has arrived: its clock is not behind that. It keeps ages from being
  // negative before the first heartbeat.
  witness(serverTime) {
    if (serverTime - Date.now() > this.offset) this.offset = serverTime - Date.now()
  }

  now() {
    return Date.now() + this.offset
  }
}

// 1 for what is fresh, down to 0 for what is old.
export function freshnessOf(ageMs) {
  return Math.max(0, Math.min(1, (OLD - ageMs) / (OLD - FRESH)))
}

// The badge in the header.
export class Badge {
  constructor(root) {
    this.root = root
    this.state = root.querySelector('[data-part=state]')
    this.lag = root.querySelector('[data-part=lag]')
    this.last = root.querySelector('[data-part=last]')
    this.assets = root.querySelector('[data-part=assets]')
    this.lagMs = null
  }

  setState(state) {
    this.root.dataset.state = state
    if (this.state.textContent !== WORDS[state]) this.state.textContent = WORDS[state]
    if (state !== CONNECTED) this.lagMs = null // said by a connection that is gone
  }

  setLag(ms) {
    this.lagMs = Number.isFinite(ms) ? ms : null
  }

  // since is the time since the last message in ms, null before the first.
  update(since, assets) {
    this.lag.textContent = this.lagMs === null ? '–' : lag(this.lagMs)
    this.lag.classList.toggle('late', this.lagMs !== null && this.lagMs > LATE_LAG)
    if (since === null) this.last.textContent = '–'
    else this.last.textContent = since < 1000 ? 'now' : `${age(since)} ago`
    this.last.classList.toggle('late', since !== null && since > LATE_MESSAGE)
    this.assets.textContent = number(assets)
  }
}
