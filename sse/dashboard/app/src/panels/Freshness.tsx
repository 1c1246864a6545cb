// How old what the page shows is. It is always in sight, and says more when it is not well.

import { age, lag, few } from '../format.ts'
import { m } from '../messages.ts'
import { connection, fleet, look, sinceMessage, streamState } from '../state/live.ts'
import { useSignal, useValue } from '../state/store.ts'
import { isLarge } from '../state/viewport.ts'
import { Icon } from '../ui/Icon.tsx'

// A heartbeat comes at least every 15 s; after 20 s of nothing something is late.
const LATE_MESSAGE = 20_000
const LOST = 5_000
const VERY_LATE = 15_000

export function Freshness() {
  useSignal(look)
  const state = useValue(streamState)
  const large = useValue(isLarge)
  const since = sinceMessage()
  const { lagMs } = connection
  let text = ''
  if (since === null) text = m.freshness.never
  else if (state === 'offline' || (since > LATE_MESSAGE)) text = m.freshness.last(age(since))
  else if (lagMs !== null) text = m.freshness.lag(lag(lagMs))
  return (
    <div className="freshness" data-state={state}>
      <span className="light" aria-hidden="true" />
      <strong role="status">{m.freshness[state]}</strong>
      {text !== '' && <span className="quiet">{text}</span>}
      <span className="quiet total">{large ? m.board.nearby(few(fleet.size)) : m.board.shown(few(fleet.size), few(fleet.size))}</span>
    </div>
  )
}

// Stands over the map when what it shows can no longer be trusted.
export function StaleBanner() {
  useSignal(look)
  const state = useValue(streamState)
  const since = sinceMessage()
  if (since !== null && state === 'offline' && since > LOST) {
    return <p className="banner" role="alert"><Icon name="warning" size={18} />{m.freshness.lost(age(since))}</p>
  }
  if (state === 'stale' && connection.lagMs !== null && connection.lagMs > VERY_LATE) {
    return <p className="banner" role="alert"><Icon name="warning" size={18} />{m.freshness.behind(age(connection.lagMs))}</p>
  }
  return null
}
