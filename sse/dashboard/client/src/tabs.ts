// Who of the tabs of a browser holds the stream, and how they talk.
//
// The leader is who holds a Web Lock. The browser gives it to the next in line when its holder closes, crashes or is
// discarded, so there is no lease to time out and never two holders. A leader that a browser has put to sleep keeps the
// lock and says nothing: a tab that somebody looks at asks, and where nobody answers takes the lock by force.
//
// A SharedWorker would need no election, but there is none in Chrome on Android, and after an update of the page old tabs
// and new ones would have one each, or worse, one of the wrong version. Where there are no Web Locks, as on pages that
// did not come by https, leases take their place (leases.ts). Where neither can be had, each tab is alone with a stream
// of its own.

import { Leases } from './leases.js'
import type { ChannelLike, LocksLike, Platform } from './platform.js'

/** What tabs send one another. */
export interface Letter {
  kind: string
  [member: string]: unknown
}

export interface TabsListener {
  /** This tab holds the stream from now on. */
  lead(): void
  /** It does no longer: another took it, because this one slept. */
  follow(): void
  letter(letter: Letter): void
  /** Tabs came, went, were hidden or shown. Only the leader is told. */
  changed(): void
  /** The leader was last heard so long ago. */
  silent(ms: number): void
}

const ASK = 3000 // how long a leader may take to say that it is there
const CHECK = 5000
const SILENCE = 25_000 // heartbeats come at least every 15 s

export class Tabs {
  readonly id = Math.random().toString(36).slice(2, 12)
  leading = false
  /** Ids of the tabs that are there, and whether one of them is visible; of use to the leader. */
  alive: ReadonlySet<string> = new Set([this.id])
  visible = true

  readonly #name: string
  readonly #p: Platform
  readonly #locks: LocksLike | undefined
  readonly #on: TabsListener
  #channel: ChannelLike | null = null
  #own: ChannelLike | null = null
  readonly #holding = new Set<() => void>()
  #queued = new AbortController()
  #release: (() => void) | null = null
  #hide: (() => void) | null = null
  #heard = 0
  #asked: ReturnType<typeof setTimeout> | undefined
  #check: ReturnType<typeof setInterval> | undefined
  readonly #seen = () => this.#visibility()

  /** name is that of the stream that is shared; '' for a tab that shares nothing. */
  constructor(name: string, platform: Platform, on: TabsListener) {
    this.#locks = name && platform.BroadcastChannel ? platform.locks ?? Leases.of(platform) : undefined
    this.#name = this.#locks ? `fleetcast ${name}` : ''
    this.#p = platform
    this.#on = on
  }

  get alone(): boolean {
    return this.#name === ''
  }

  start(): void {
    this.#p.document?.addEventListener('visibilitychange', this.#seen)
    this.visible = this.#isVisible()
    if (this.alone) {
      this.leading = true
      this.#on.lead()
      return
    }
    const { BroadcastChannel } = this.#p
    this.#channel = new BroadcastChannel!(this.#name)
    this.#own = new BroadcastChannel!(`${this.#name} ${this.id}`)
    this.#channel.onmessage = this.#own.onmessage = event => this.#got(event.data as Letter)
    void this.#hold(`${this.#name}#${this.id}`)
    this.#visibility()
    this.#elect(false)
    this.#heard = Date.now()
    this.#check = setInterval(() => this.#watch(), CHECK)
    this.send({ kind: 'hello', id: this.id })
    this.#ask()
  }

  /** Leaves, and lets the next tab have the stream. */
  stop(): void {
    this.#p.document?.removeEventListener('visibilitychange', this.#seen)
    clearInterval(this.#check)
    clearTimeout(this.#asked)
    this.#asked = undefined
    if (this.leading) this.send({ kind: 'bye' })
    this.leading = false
    this.#queued.abort()
    this.#release?.()
    for (const release of [...this.#holding]) release()
    this.#release = this.#hide = null
    this.#channel?.close()
    this.#own?.close()
    this.#channel = this.#own = null
  }

  // The next in line may sleep, so who is seen asks whether there is one.
  #got(letter: Letter): void {
    if (letter.kind === 'bye') {
      if (this.#isVisible()) this.#ask()
    } else {
      this.#on.letter(letter)
    }
  }

  /** To all the other tabs. */
  send(letter: Letter): void {
    this.#locks?.renew?.()
    this.#channel?.postMessage(letter)
  }

  /** To one. It has a channel of its own: a snapshot for it need not be unpacked by all. */
  sendTo(id: string, letter: Letter): void {
    if (!this.#channel) return
    const channel = new this.#p.BroadcastChannel!(`${this.#name} ${id}`)
    channel.postMessage(letter)
    channel.close()
  }

  /** The leader was heard. */
  heard(): void {
    this.#locks?.renew?.()
    this.#heard = Date.now()
    clearTimeout(this.#asked)
    this.#asked = undefined
  }

  /** Looks who is there. A tab that crashed holds no lock, so it is not counted. */
  async look(): Promise<void> {
    if (this.alone) {
      this.visible = this.#isVisible()
      this.#on.changed()
      return
    }
    const { held = [] } = await this.#locks!.query()
    if (!this.leading) return
    const names = held.map(lock => lock.name ?? '')
    const of = (sign: string) => names.filter(n => n.startsWith(this.#name + sign)).map(n => n.slice(this.#name.length + 1))
    this.alive = new Set([this.id, ...of('#')])
    this.visible = this.#isVisible() || of('@').length > 0
    this.#on.changed()
  }

  // Holds a lock until this tab leaves, or what it returns is called.
  #hold(name: string): () => void {
    const abort = new AbortController()
    const over = new Promise<void>(resolve => abort.signal.addEventListener('abort', () => resolve()))
    const release = () => {
      this.#holding.delete(release)
      abort.abort()
    }
    this.#holding.add(release)
    this.#locks!.request(name, { mode: 'shared', signal: abort.signal }, () => over).catch(() => {}) // left while it waited
    return release
  }

  #elect(steal: boolean): void {
    this.#queued.abort() // the place in line, where the lock is taken by force
    const queued = new AbortController()
    this.#queued = queued
    let held = false
    const hold = () => {
      if (queued.signal.aborted) return Promise.resolve()
      held = true
      this.leading = true
      this.heard()
      const over = new Promise<void>(resolve => { this.#release = resolve })
      this.#on.lead()
      return over
    }
    // The standard forbids a signal together with steal.
    this.#locks!.request(this.#name, steal ? { steal } : { signal: queued.signal }, hold).catch(() => {
      if (queued.signal.aborted || !held) return
      this.leading = false // it was stolen
      this.#release = null
      this.#on.follow()
      this.#elect(false)
    })
  }

  #isVisible(): boolean {
    return (this.#p.document?.visibilityState ?? 'visible') === 'visible'
  }

  #visibility(): void {
    const visible = this.#isVisible()
    if (!this.alone) {
      this.#hide?.()
      this.#hide = visible ? this.#hold(`${this.#name}@${this.id}`) : null
      this.send({ kind: visible ? 'shown' : 'hidden', id: this.id })
      if (visible) this.#ask()
    }
    if (this.leading) void this.look()
  }

  // Where the leader does not say that it is there, it sleeps: what is on the screen would be old.
  #ask(): void {
    if (this.leading || this.#asked !== undefined) return
    this.send({ kind: 'ask', id: this.id })
    this.#asked = setTimeout(() => {
      this.#asked = undefined
      if (!this.leading && this.#isVisible()) this.#elect(true)
    }, ASK)
  }

  #watch(): void {
    if (this.leading) {
      void this.look()
      return
    }
    const silence = Date.now() - this.#heard
    this.#on.silent(silence)
    if (this.#isVisible() && silence > SILENCE) this.#ask()
  }
}
