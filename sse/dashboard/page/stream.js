// The connection to /stream/assets. The browser's EventSource reconnects by itself and sends the last id; this adds
// only what it cannot do: notice a connection that is open and silent, come back after an answer that ended the
// EventSource for good, and say in one word how things stand.

export const CONNECTING = 'connecting'
export const CATCHING_UP = 'catching-up'
export const CONNECTED = 'connected'
export const RECONNECTING = 'reconnecting'

// The stream sends a heartbeat at least every 15 s, so this is two that did not come.
const SILENCE_LIMIT = 35000
const SILENCE_CHECK = 5000
const FIRST_RETRY = 1000
const MAX_RETRY = 30000

// on: {batch(assets), removed({id, fleet}), reset(), ready(data), heartbeat(data), state(word), refused()}. refused is called
// where an answer ended the EventSource for good: perhaps the gateway wants to know who asks. reset is also called
// where a stream begins anew without an id to go on from: it then sends a snapshot, and what was deleted meanwhile
// would never be removed.
export class AssetStream {
  constructor(url, on, EventSourceClass = globalThis.EventSource) {
    this.url = url
    this.on = on
    this.EventSourceClass = EventSourceClass
    this.source = null
    this.lastId = ''
    this.lastMessage = null // when the last event came, unlike lastHeard, which also begins anew with each attempt
    this.lastHeard = 0 // wall clock: it goes on while the computer sleeps, which is just when streams die
    this.retry = FIRST_RETRY
    this.retryTimer = 0
    this.checkTimer = 0
  }

  start() {
    this.setState(CONNECTING)
    this.checkTimer = setInterval(() => this.check(), SILENCE_CHECK)
    this.open()
  }

  stop() {
    clearInterval(this.checkTimer)
    clearTimeout(this.retryTimer)
    this.source?.close()
    this.source = null
  }

  open() {
    clearTimeout(this.retryTimer)
    this.source?.close()
    this.lastHeard = Date.now()
    const source = new this.EventSourceClass(this.lastId === '' ? this.url : withId(this.url, this.lastId))
    this.source = source
    const listen = (name, handle) => source.addEventListener(name, event => {
      if (source !== this.source) return // closed by us; an event of it may still have been in the queue
      handle(event)
    })
    listen('open', () => this.opened())
    listen('error', () => this.failed(source))
    for (const name of ['batch', 'removed', 'reset', 'ready', 'heartbeat']) {
      listen(name, event => this.received(name, event))
    }
  }

  opened() {
    this.retry = FIRST_RETRY
    this.lastHeard = Date.now()
    if (this.lastId === '') this.on.reset()
    this.setState(CATCHING_UP)
  }

  received(name, event) {
    this.lastHeard = this.lastMessage = Date.now()
    let data
    try {
      data = JSON.parse(event.data)
    } catch (error) {
      // One message that cannot be read must not end the page; its id is not kept as one that was taken in.
      console.warn(`The stream sent a ${name} that is not JSON.`, error)
      return
    }
    if (data === null || typeof data !== 'object') return
    this.on[name](data)
    if (event.lastEventId !== '') this.lastId = event.lastEventId
    if (name === 'reset') this.setState(CATCHING_UP)
    if (name === 'ready') this.setState(CONNECTED)
  }

  failed(source) {
    this.setState(RECONNECTING)
    if (source.readyState !== this.EventSourceClass.CLOSED) return // the browser tries again
    this.on.refused?.()
    // Any answer but 200 ends an EventSource for good; a proxy gives one while the gateway restarts. Waits are random
    // so that a thousand pages do not come back in the same instant.
    clearTimeout(this.retryTimer)
    this.retryTimer = setTimeout(() => this.open(), this.retry * (0.5 + Math.random()))
    this.retry = Math.min(MAX_RETRY, this.retry * 2)
  }

  check() {
    const now = Date.now()
    if (this.lastHeard > now) this.lastHeard = now // the clock was set back
    if (now - this.lastHeard <= SILENCE_LIMIT) return
    this.setState(RECONNECTING)
    this.open()
  }

  setState(state) {
    this.state = state
    this.on.state(state)
  }
}

function withId(url, id) {
  return `${url}${url.includes('?') ? '&' : '?'}last_event_id=${encodeURIComponent(id)}`
}
