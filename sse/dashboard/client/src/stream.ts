// One stream of the gateway, kept open: resumed where it was, watched for silence, with its view.

import { Backoff } from './freshness.js'
import type { Message } from './parse.js'
import type { Platform } from './platform.js'
import { end, openEventSource, openFetch, type End, type Source } from './source.js'
import type { Asset, EventName, Events, Heartbeat, Ready, State, View } from './types.js'
import { bodyOf, keyOf, viewOf, withParameter, withView } from './view.js'

export interface StreamOptions {
  /** With the filter in its query, without position and ticket. */
  url: string
  transport: 'eventsource' | 'fetch'
  token?: ((again: boolean) => string | Promise<string>) | undefined
  /** Where tickets are made, for EventSource with a token. */
  tickets: string
  credentials: RequestCredentials
  watchdog: number
  stale: number
  backoff: { first: number; most: number }
}

export interface StreamListener {
  event<N extends EventName>(name: N, data: Events[N]): void
  /** state, lagMs or lastHeard are other than before. */
  status(): void
}

// A heartbeat comes at least every 15 s; what is silent for longer than that and a while may be late.
const OVERDUE = 20_000
const CHECK = 1000
// A map that is dragged says dozens of views a second.
const VIEW_GAP = 200

export class Stream {
  position: string
  state: State = 'connecting'
  /** What the gateway said last about how late it is, ms; null where nothing is open. */
  lagMs: number | null = null
  /** When the last message came, unix ms. */
  lastHeard: number | null = null

  readonly #o: StreamOptions
  readonly #p: Platform
  readonly #on: StreamListener
  readonly #backoff: Backoff
  #source: Source | null = null
  #attempt = 0 // number of the newest one; what an older one still says is not heard
  #alive = 0 // when the attempt began or was heard of
  #ready = false
  #given = false // something was given since the last reset
  #nativeTries = 0
  #refusals = 0
  #retry: ReturnType<typeof setTimeout> | undefined
  #check: ReturnType<typeof setInterval> | undefined
  #sid = ''
  #seq = 0
  #wanted: View
  #urlView = '' // key of the view that the URL of the source asks for
  #putView = '' // key of the view that was put to this sid
  #accepted: View
  #put: ReturnType<typeof setTimeout> | undefined
  #putting = false

  constructor(options: StreamOptions, platform: Platform, on: StreamListener, position = '', view?: View) {
    this.#o = options
    this.#p = platform
    this.#on = on
    this.position = position
    this.#given = position !== ''
    this.#wanted = this.#accepted = view ?? viewOf(options.url)
    this.#backoff = new Backoff(platform.random, options.backoff.first, options.backoff.most)
  }

  start(): void {
    clearInterval(this.#check)
    this.#check = setInterval(() => this.#watch(), CHECK)
    void this.#open()
  }

  /** Ends the stream and keeps the position. */
  stop(state: State): void {
    clearInterval(this.#check)
    this.#drop()
    this.#say(state)
  }

  /** Tries now, also after it was signed out. */
  reconnect(): void {
    this.#backoff.reset()
    this.#refusals = 0
    this.start()
  }

  /** Tries now where it waits for the next attempt: the network is back, or somebody looks. */
  hurry(): void {
    this.#backoff.reset() // an attempt that is under way may have begun too early
    if (this.#retry !== undefined) void this.#open()
  }

  /** Returns the number that `event: view` will name. */
  setView(view: View): number {
    this.#wanted = view
    this.#seq++
    if (this.#ready) this.#later(VIEW_GAP)
    return this.#seq
  }

  #drop(): void {
    clearTimeout(this.#retry)
    clearTimeout(this.#put)
    this.#retry = this.#put = undefined
    this.#attempt++
    this.#source?.close()
    this.#source = null
    this.#ready = false
    this.#putting = false
    this.#sid = this.#putView = ''
    this.lagMs = null
  }

  async #open(): Promise<void> {
    this.#drop()
    const attempt = this.#attempt
    this.#alive = Date.now()
    if (this.state !== 'offline') this.#say('connecting')
    this.#urlView = keyOf(this.#wanted)
    const url = withView(this.#o.url, this.#wanted)
    try {
      const token = this.#o.token && (await this.#o.token(this.#refusals > 0))
      if (attempt !== this.#attempt) return
      if (this.#o.transport === 'fetch') {
        this.#source = openFetch(this.#p, { url, position: this.position, headers: bearer(token), credentials: this.#o.credentials }, this.#listener(attempt))
        return
      }
      const answer = token === undefined ? url : await this.#ticket(url, token)
      if (attempt !== this.#attempt) return
      if (typeof answer !== 'string') {
        this.#ended(answer)
        return
      }
      const at = this.position === '' ? answer : withParameter(answer, 'last_event_id', this.position)
      this.#source = openEventSource(this.#p, at, this.#o.credentials === 'include', this.#listener(attempt))
    } catch {
      if (attempt === this.#attempt) this.#ended({})
    }
  }

  /** The URL with a ticket in it, or why there is none. A ticket is good for one stream and for its position. */
  async #ticket(url: string, token: string): Promise<string | End> {
    const { origin, path } = split(url)
    const answer = await this.#p.fetch(this.#o.tickets, {
      method: 'POST', headers: { 'content-type': 'application/json', ...bearer(token) },
      credentials: this.#o.credentials, body: JSON.stringify({ url: path }),
    })
    if (!answer.ok) return end(answer)
    const { url: ticketed } = await answer.json() as { url: string }
    return origin + ticketed
  }

  #listener(attempt: number) {
    const mine = () => attempt === this.#attempt
    return {
      open: () => { if (mine()) this.#opened() },
      message: (message: Message) => { if (mine()) this.#message(message) },
      retrying: () => { if (mine()) this.#retrying() },
      end: (why: End) => {
        if (!mine()) return
        if (why.status === undefined && this.#o.transport === 'eventsource' && !this.#o.token) void this.#probe(attempt)
        else this.#ended(why)
      },
    }
  }

  #opened(): void {
    this.#alive = Date.now()
    // It begins with a snapshot, which does not say what is gone.
    if (this.position === '' && this.#given) this.#reset('new')
    this.#say('catching-up')
  }

  #reset(reason: string): void {
    this.#given = false
    this.#on.event('reset', { reason })
  }

  #message({ name, data: text, id }: Message): void {
    this.#alive = this.lastHeard = Date.now()
    this.#nativeTries = this.#refusals = 0
    this.#backoff.reset()
    let data: unknown
    try {
      data = JSON.parse(text)
    } catch {
      data = null
    }
    if (data === null || typeof data !== 'object') {
      this.#on.event('error', new Error(`The stream sent a ${name} that cannot be read.`))
      return
    }
    // The position moves first: who hears of the event may ask for it, to keep both together.
    if (id !== '') this.position = id
    this.#heard(name, data)
    this.#on.status()
  }

  #heard(name: string, data: object): void {
    switch (name) {
      case 'message':
        this.#assets([data as Asset])
        return
      case 'batch':
        if (Array.isArray(data)) this.#assets(data as Asset[])
        return
      case 'reset':
        this.#ready = false
        this.#reset(String((data as { reason?: unknown }).reason ?? ''))
        this.#say('catching-up')
        return
      case 'ready':
        this.#isReady(data as Ready)
        return
      case 'heartbeat':
        this.lagMs = Number((data as Heartbeat).lag_ms) || 0
        this.#on.event('heartbeat', data as Heartbeat)
        this.#judge()
        return
      case 'removed': case 'alert': case 'command': case 'view':
        this.#on.event(name, data as never)
    }
  }

  #assets(assets: readonly Asset[]): void {
    const good = assets.filter(a => a !== null && typeof a === 'object' && typeof a.id === 'string')
    if (good.length === 0) return
    this.#given = true
    this.#on.event('assets', good)
  }

  #isReady(data: Ready): void {
    this.#ready = true
    if (data.sid !== this.#sid) {
      this.#sid = String(data.sid ?? '')
      this.#putView = this.#urlView
    }
    this.#on.event('ready', data)
    this.#judge()
    if (keyOf(this.#wanted) !== this.#putView) this.#later(0)
    else if (this.#seq > 0) this.#on.event('view', { seq: this.#seq }) // by the URL
  }

  // The browser's own attempts come after the time that the stream's `retry:` set, which spreads the clients of a server
  // that is stopping. From the second failure on ours take over, whose waits grow. They also do where the browser would
  // ask for another view than the one in force: the position belongs to that.
  #retrying(): void {
    this.#alive = Date.now()
    this.#ready = false
    this.lagMs = null
    this.#say('offline')
    if (this.#nativeTries++ > 0 || keyOf(this.#wanted) !== this.#urlView) this.#ended({})
  }

  // EventSource does not say what ended it, and it makes a difference.
  async #probe(attempt: number): Promise<void> {
    let why: End = {}
    this.#say('offline')
    try {
      why = end(await this.#p.fetch(withView(this.#o.url, this.#wanted), { method: 'HEAD', credentials: this.#o.credentials, cache: 'no-store' }))
    } catch {
      // the gateway is away
    }
    if (attempt === this.#attempt) this.#ended(why)
  }

  #ended({ status = 0, wait }: End): void {
    this.#drop()
    if (status === 401 && (!this.#o.token || this.#refusals++ > 0)) {
      clearInterval(this.#check)
      this.#say('signed-out')
      return
    }
    this.#say('offline')
    if (status >= 400 && status < 500 && ![401, 408, 425, 429].includes(status)) {
      this.#on.event('error', new Error(`The gateway refuses the stream with ${status}.`))
      wait = Math.max(wait ?? 0, this.#o.backoff.most)
      this.#wanted = this.#accepted
    }
    this.#retry = setTimeout(() => void this.#open(), this.#backoff.next(wait))
  }

  #watch(): void {
    const now = Date.now()
    if (this.#alive > now) this.#alive = now // the clock was set back
    if (this.#retry !== undefined) return
    if (now - this.#alive > this.#o.watchdog) {
      this.#say('offline')
      void this.#open()
      return
    }
    this.#judge()
  }

  #judge(): void {
    if (!this.#ready) return
    const late = (this.lagMs ?? 0) > this.#o.stale || Date.now() - this.#alive > OVERDUE
    this.#say(late ? 'stale' : 'live')
  }

  #say(state: State): void {
    if (state === this.state) return
    this.state = state
    this.#on.status()
  }

  #later(wait: number): void {
    if (this.#put !== undefined || this.#putting) return // the newest view goes with the one that waits
    this.#put = setTimeout(() => {
      this.#put = undefined
      void this.#putNow()
    }, wait)
  }

  async #putNow(): Promise<void> {
    const attempt = this.#attempt
    const view = this.#wanted
    const key = keyOf(view)
    const seq = this.#seq
    if (key === this.#putView) {
      this.#on.event('view', { seq })
      return
    }
    this.#putting = true
    let status = 0
    let problem = ''
    try {
      const token = this.#o.token && (await this.#o.token(false))
      const answer = await this.#p.fetch(viewUrl(this.#o.url, this.#sid), {
        method: 'PUT', headers: { 'content-type': 'application/json', ...bearer(token) },
        credentials: this.#o.credentials, body: bodyOf(view, seq),
      })
      status = answer.status
      if (!answer.ok) problem = ((await answer.json().catch(() => ({}))) as { detail?: string }).detail ?? `it answers ${status}`
    } catch {
      // as a 503: tried again
    }
    if (attempt !== this.#attempt) return // the next stream has the view in its URL
    this.#putting = false
    this.#putEnded(status, problem, view, key)
  }

  #putEnded(status: number, problem: string, view: View, key: string): void {
    if (status >= 200 && status < 300) {
      this.#putView = key
      this.#accepted = view
    } else if (status === 404 || status === 405 || status === 501) {
      // The stream is gone and we do not know it yet, or this gateway cannot: the URL can.
      void this.#open()
      return
    } else if (status >= 400 && status < 500 && status !== 429 && status !== 401) {
      this.#on.event('error', new Error(`The gateway refuses the view: ${problem}`))
      if (this.#wanted === view) this.#wanted = this.#accepted
      return
    } else {
      this.#later(1000)
      return
    }
    if (keyOf(this.#wanted) !== key) this.#later(VIEW_GAP)
  }
}

function bearer(token: string | undefined): Record<string, string> {
  return token === undefined ? {} : { authorization: `Bearer ${token}` }
}

function split(url: string): { origin: string; path: string } {
  const at = /^[a-z]+:\/\/[^/?]+/i.exec(url)?.[0] ?? ''
  return { origin: at, path: url.slice(at.length) }
}

/** PUT /stream/{sid}/view stands beside /stream/assets. */
function viewUrl(url: string, sid: string): string {
  return `${url.replace(/\?.*$/, '').replace(/\/[^/]*$/, '')}/${encodeURIComponent(sid)}/view`
}
