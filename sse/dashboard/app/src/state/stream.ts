// The stream of the gateway, in the batch format. EventSource reconnects and resumes by itself with the last id; this
// adds only what it cannot do: notice a connection that is open and silent, come back after an answer that ended the
// EventSource for good, and say in one word how things stand.

export type StreamState = 'connecting' | 'catching-up' | 'live' | 'offline'

export interface StreamHandlers {
  assets(assets: unknown[]): void
  removed(gone: { id: string, fleet: string }): void
  reset(): void // also where a stream begins anew without an id: it sends a snapshot
  ready(data: unknown): void
  heartbeat(data: { now?: unknown, lag_ms?: unknown }): void
  alert(data: unknown): void
  command(data: unknown): void
  state(state: StreamState): void
  refused(): void // an answer ended the stream for good: perhaps the gateway wants to know who asks
}

// The stream sends a heartbeat at least every 15 s, so this is two that did not come.
const SILENCE_LIMIT = 35_000
const SILENCE_CHECK = 5_000
const FIRST_RETRY = 1_000
const MAX_RETRY = 30_000
const EVENTS = ['batch', 'removed', 'reset', 'ready', 'heartbeat', 'alert', 'command'] as const

export class AssetStream {
  state: StreamState = 'connecting'
  lastMessage: number | null = null // when the last event came, unlike lastHeard, which also begins anew with each attempt
  private source: EventSource | null = null
  private lastId = ''
  private lastHeard = 0 // wall clock: it goes on while the computer sleeps, which is just when streams die
  private retry = FIRST_RETRY
  private retryTimer = 0
  private checkTimer = 0

  constructor(private url: string, private on: StreamHandlers) {}

  start(): void {
    this.setState('connecting')
    this.checkTimer = window.setInterval(() => this.check(), SILENCE_CHECK)
    this.open()
  }

  stop(): void {
    clearInterval(this.checkTimer)
    clearTimeout(this.retryTimer)
    this.source?.close()
    this.source = null
  }

  open(): void {
    clearTimeout(this.retryTimer)
    this.source?.close()
    this.lastHeard = Date.now()
    const source = new EventSource(this.lastId === '' ? this.url : withId(this.url, this.lastId))
    this.source = source
    const listen = (name: string, handle: (event: MessageEvent<string>) => void) => source.addEventListener(name, event => {
      if (source !== this.source) return // closed by us; an event of it may still have been in the queue
      handle(event as MessageEvent<string>)
    })
    listen('open', () => this.opened())
    listen('error', () => this.failed(source))
    for (const name of EVENTS) listen(name, event => this.received(name, event))
  }

  private opened(): void {
    this.retry = FIRST_RETRY
    this.lastHeard = Date.now()
    if (this.lastId === '') this.on.reset()
    this.setState('catching-up')
  }

  private received(name: typeof EVENTS[number], event: MessageEvent<string>): void {
    this.lastHeard = this.lastMessage = Date.now()
    let data: unknown
    try {
      data = JSON.parse(event.data)
    } catch (error) {
      // One message that cannot be read must not end the page; its id is not kept as one that was taken in.
      console.warn(`The stream sent a ${name} that is not JSON.`, error)
      return
    }
    if (data === null || typeof data !== 'object') return
    if (name === 'batch') {
      if (Array.isArray(data)) this.on.assets(data)
    } else {
      this.on[name](data as never)
    }
    if (event.lastEventId !== '') this.lastId = event.lastEventId
    if (name === 'reset') this.setState('catching-up')
    if (name === 'ready') this.setState('live')
  }

  private failed(source: EventSource): void {
    this.setState('offline')
    if (source.readyState !== EventSource.CLOSED) return // the browser tries again
    this.on.refused()
    // Any answer but 200 ends an EventSource for good; a proxy gives one while the gateway restarts. Waits are random
    // so that a thousand pages do not come back in the same instant.
    clearTimeout(this.retryTimer)
    this.retryTimer = window.setTimeout(() => this.open(), this.retry * (0.5 + Math.random()))
    this.retry = Math.min(MAX_RETRY, this.retry * 2)
  }

  private check(): void {
    const now = Date.now()
    if (this.lastHeard > now) this.lastHeard = now // the clock was set back
    if (now - this.lastHeard <= SILENCE_LIMIT) return
    this.setState('offline')
    this.open()
  }

  private setState(state: StreamState): void {
    this.state = state
    this.on.state(state)
  }
}

function withId(url: string, id: string): string {
  return `${url}${url.includes('?') ? '&' : '?'}last_event_id=${encodeURIComponent(id)}`
}
