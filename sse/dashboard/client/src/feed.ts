// What a connection reads from: a stream of its own, or the one that the tabs share.
//
// Every tab has all assets and the position that belongs to them, so whoever becomes the leader goes on from there, and
// nobody notices. What the leader hears it tells the others, numbered; who misses a number, or comes anew, gets a
// snapshot from it. A term is one leader's time; its first letter says after which letter of the term before it goes on.

import type { Platform } from './platform.js'
import type { AssetStore } from './store.js'
import { Stream, type StreamOptions } from './stream.js'
import { Tabs, type Letter } from './tabs.js'
import type { Asset, EventName, Events, Ready, State, View } from './types.js'
import { keyOf, union, viewOf } from './view.js'

export interface FeedOptions extends StreamOptions {
  /** Name of what is shared; '' to share nothing. */
  share: string
  hidden: { after: number; every: number; pauseAfter: number }
}

export interface FeedListener {
  event<N extends EventName>(name: N, data: Events[N]): void
  status(): void
}

const MAX_EARLY = 1000
// As a stream judges its own silence.
const OVERDUE = 20_000
const LOST = 35_000

interface Status {
  state: State
  lagMs: number | null
  lastHeard: number | null
}

export class Feed {
  position = ''
  status: Status = { state: 'connecting', lagMs: null, lastHeard: null }
  readonly #o: FeedOptions
  readonly #p: Platform
  readonly #store: AssetStore
  readonly #on: FeedListener
  readonly #tabs: Tabs
  #stream: Stream | null = null
  #term = ''
  #number = 0 // of the last letter of the term that was told or heard
  #synced = false // this tab has all up to it
  #ready: Ready | null = null
  #view: View // in force, of all tabs together
  #own: View // of this tab
  readonly #views = new Map<string, { view: View; seq: number }>() // of the others, for the leader
  #seq = 0 // of this tab's view
  #told = 0 // the newest that was said to be in force
  #waiting: { seq: number; tabs: Record<string, number> } | null = null // whose views come into force with the stream's
  #early: Letter[] = [] // events that came before the snapshot that they follow
  #hiddenSince: number | null = null
  #slow = false
  #timer: ReturnType<typeof setTimeout> | undefined
  #closed = false

  constructor(options: FeedOptions, platform: Platform, store: AssetStore, on: FeedListener) {
    this.#o = options
    this.#p = platform
    this.#store = store
    this.#on = on
    this.#view = this.#own = viewOf(options.url)
    this.#tabs = new Tabs(options.share, platform, {
      lead: () => this.#lead(),
      follow: () => this.#follow(),
      letter: letter => this.#letter(letter),
      changed: () => this.#changed(),
      silent: ms => this.#silent(ms),
    })
  }

  get leading(): boolean {
    return this.#tabs.leading
  }

  start(): void {
    this.#tabs.start()
  }

  /** Leaves what is shared, for the time that the browser keeps the page for the back button. */
  suspend(state: State = 'connecting'): void {
    this.#stream?.stop(state)
    this.#stream = null
    clearTimeout(this.#timer)
    this.#tabs.stop()
    // Time will pass of which this tab hears nothing. Alone it goes on from its position; else it asks for a snapshot.
    this.#synced = this.#tabs.alone
  }

  close(): void {
    this.#closed = true
    this.suspend('closed')
    this.#tell({ state: 'closed', lagMs: null, lastHeard: this.status.lastHeard })
  }

  reconnect(): void {
    if (this.#stream) this.#stream.reconnect()
    else this.#tabs.send({ kind: 'reconnect' })
  }

  hurry(): void {
    if (this.#stream) this.#stream.hurry()
    else this.#tabs.send({ kind: 'hurry' })
  }

  setView(view: View): number {
    this.#own = view
    this.#seq++
    if (this.#stream) this.#apply()
    else this.#sayView()
    return this.#seq
  }

  #sayView(): void {
    this.#tabs.send({ kind: 'view', id: this.#tabs.id, view: this.#own, seq: this.#seq })
  }

  #lead(): void {
    if (this.#closed) return
    const after = this.#synced ? { term: this.#term, number: this.#number } : null
    if (!this.#synced) this.#startAnew()
    this.#term = Math.random().toString(36).slice(2)
    this.#number = 0
    this.#synced = true
    this.#early = []
    this.#waiting = null
    this.#tabs.send({ kind: 'lead', term: this.#term, after, view: this.#view })
    this.#stream = new Stream(this.#o, this.#p, {
      event: (name, data) => this.#heard(name, data),
      status: () => this.#streamStatus(),
    }, this.position, this.#view)
    this.#stream.start()
    void this.#tabs.look()
  }

  #follow(): void {
    this.#stream?.stop('connecting')
    this.#stream = null
    this.#synced = false
    clearTimeout(this.#timer)
    this.#tabs.send({ kind: 'hello', id: this.#tabs.id })
    this.#sayView()
  }

  #startAnew(): void {
    this.position = ''
    this.#ready = null
    if (this.#store.size > 0) this.#emit('reset', { reason: 'new' })
  }

  // ---- the leader ----

  #heard<N extends EventName>(name: N, data: Events[N]): void {
    this.position = this.#stream?.position ?? this.position
    if (name === 'view') {
      if (this.#waiting && (data as Events['view']).seq >= this.#waiting.seq) this.#inForce(this.#waiting.tabs)
      return
    }
    this.#emit(name, data)
    if (this.#tabs.alone) return
    if (name === 'error') this.#tabs.send({ kind: 'error', term: this.#term, text: (data as Error).message })
    else this.#tabs.send({ kind: 'event', term: this.#term, number: ++this.#number, name, data, position: this.position })
  }

  #streamStatus(): void {
    if (!this.#stream) return
    const { state, lagMs, lastHeard, position } = this.#stream
    this.position = position
    const { status } = this
    const same = status.state === state && status.lagMs === lagMs
    this.#tell({ state, lagMs, lastHeard })
    if (!same) this.#tabs.send({ kind: 'status', term: this.#term, status: this.status })
  }

  #letter(letter: Letter): void {
    const id = String(letter.id ?? '')
    if (this.#stream) this.#toLeader(letter, id)
    else this.#toFollower(letter)
  }

  #toLeader(letter: Letter, id: string): void {
    switch (letter.kind) {
      case 'hello':
        this.#tabs.sendTo(id, this.#snapshot())
        void this.#tabs.look()
        return
      case 'ask':
        this.#tabs.send({ kind: 'here', term: this.#term })
        return
      case 'view':
        this.#views.set(id, { view: letter.view as View, seq: letter.seq as number })
        void this.#tabs.look()
        return
      case 'shown': case 'hidden':
        void this.#tabs.look()
        return
      case 'reconnect':
        this.#stream?.reconnect()
        return
      case 'hurry':
        this.#stream?.hurry()
    }
  }

  #snapshot(): Letter {
    return {
      kind: 'snapshot', term: this.#term, number: this.#number, position: this.position, status: this.status,
      ready: this.#ready, view: this.#view, assets: [...this.#store.assets.values()],
    }
  }

  #changed(): void {
    if (!this.#stream) return
    for (const id of this.#views.keys()) if (!this.#tabs.alive.has(id)) this.#views.delete(id)
    this.#hide()
    this.#apply()
  }

  // Puts the view that shows all that the tabs want, slower while nobody looks.
  #apply(): void {
    const { alive, id } = this.#tabs
    const views = [this.#own]
    const tabs: Record<string, number> = { [id]: this.#seq }
    for (const tab of alive) {
      if (tab === id) continue
      const { view, seq } = this.#views.get(tab) ?? { view: viewOf(this.#o.url), seq: 0 }
      views.push(view)
      tabs[tab] = seq
    }
    const all = union(views)
    const view = this.#slow ? { ...all, every: Math.max(all.every ?? 0, this.#o.hidden.every) } : all
    if (keyOf(view) !== keyOf(this.#view)) {
      this.#view = view
      this.#tabs.send({ kind: 'union', term: this.#term, view })
      this.#waiting = { seq: this.#stream?.setView(view) ?? 0, tabs }
    } else if (this.#waiting) {
      this.#waiting.tabs = tabs
    } else {
      this.#inForce(tabs)
    }
  }

  // Views of tabs are numbered by each tab, those of the stream by itself.
  #inForce(tabs: Record<string, number>): void {
    this.#waiting = null
    this.#tabs.send({ kind: 'inforce', term: this.#term, tabs })
    this.#viewInForce(tabs)
  }

  #hide(): void {
    const { after, pauseAfter } = this.#o.hidden
    const { visible } = this.#tabs
    clearTimeout(this.#timer)
    if (visible) {
      const was = this.#hiddenSince
      this.#hiddenSince = null
      this.#slow = false
      if (was !== null && this.#stream?.state === 'paused') this.#stream.start()
      else if (was !== null) this.#stream?.hurry()
      return
    }
    const since = (this.#hiddenSince ??= Date.now())
    const gone = Date.now() - since
    this.#slow = after > 0 && gone >= after
    if (pauseAfter > 0 && gone >= pauseAfter) {
      if (this.#stream && !['paused', 'signed-out'].includes(this.#stream.state)) this.#stream.stop('paused')
      return
    }
    const next = [after, pauseAfter].filter(t => t > gone)
    if (next.length > 0) this.#timer = setTimeout(() => this.#changed(), Math.min(...next) - gone)
  }

  // ---- a follower ----

  #toFollower(letter: Letter): void {
    if (letter.kind === 'lead') this.#newTerm(letter)
    else if (letter.kind === 'snapshot') this.#take(letter)
    else if (letter.kind === 'here' && letter.term !== this.#term) this.#hello() // its first letter was missed
    else if (this.#synced && letter.term === this.#term) this.#follower(letter)
    else if (!this.#synced && letter.kind === 'event' && this.#early.length < MAX_EARLY) this.#early.push(letter)
  }

  // The leader sleeps, or is gone and the next one sleeps. What is shown is not as new as it looks.
  #silent(ms: number): void {
    if (this.#closed || this.#stream || ms < OVERDUE) return
    const state = ms < LOST ? 'stale' : 'offline'
    if (this.status.state === 'live' || this.status.state === 'stale') this.#tell({ ...this.status, state })
  }

  #newTerm(letter: Letter): void {
    this.#tabs.heard()
    this.#sayView()
    const after = letter.after as { term: string; number: number } | null
    const on = this.#synced && after?.term === this.#term && after.number === this.#number
    this.#term = letter.term as string
    this.#number = 0
    this.#view = letter.view as View
    if (!on) this.#hello()
  }

  #hello(): void {
    this.#synced = false
    this.#tabs.send({ kind: 'hello', id: this.#tabs.id })
  }

  #follower(letter: Letter): void {
    this.#tabs.heard()
    switch (letter.kind) {
      case 'event':
        if (letter.number !== this.#number + 1) {
          if ((letter.number as number) > this.#number) this.#hello()
          return
        }
        this.#number++
        this.position = letter.position as string
        this.#emit(letter.name as EventName, letter.data as never)
        return
      case 'status':
        this.#tell(letter.status as Status)
        return
      case 'error':
        this.#emit('error', new Error(String(letter.text)))
        return
      case 'union':
        this.#view = letter.view as View
        return
      case 'inforce':
        this.#viewInForce(letter.tabs as Record<string, number>)
    }
  }

  #viewInForce(tabs: Record<string, number>): void {
    const seq = tabs[this.#tabs.id] ?? 0
    if (seq <= this.#told) return
    this.#told = seq
    this.#on.event('view', { seq })
  }

  // Letters that follow the snapshot may be here before it: it comes by another channel.
  #take(letter: Letter): void {
    this.#tabs.heard()
    if (this.#synced && letter.term === this.#term) return
    this.#term = letter.term as string
    this.#number = letter.number as number
    this.#view = letter.view as View
    this.#startAnew()
    this.position = letter.position as string
    this.#synced = true
    this.#emit('assets', letter.assets as Asset[])
    if (letter.ready) this.#emit('ready', letter.ready as Ready)
    this.#tell(letter.status as Status)
    this.#sayView()
    const early = this.#early
    this.#early = []
    for (const next of early) {
      if (next.term === this.#term && (next.number as number) > this.#number) this.#follower(next)
    }
  }

  #emit<N extends EventName>(name: N, data: Events[N]): void {
    if (name === 'ready') this.#ready = data as Ready
    if (name === 'reset') this.#ready = null
    this.#on.event(name, data)
  }

  #tell(status: Status): void {
    this.status = status
    this.#on.status()
  }
}
