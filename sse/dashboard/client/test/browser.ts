// What a connection needs of a browser, on a gateway in memory and on fake time.

import { Parser } from '../src/parse.js'
import type { ChannelLike, EventSourceLike, LocksLike, PageLike, Platform, StorageLike } from '../src/platform.js'
import type { Gateway } from './gateway.js'

/** Seeds of a random test: few, or many where FLEETCAST_SOAK is set. */
export function seeds(few: number): number[] {
  const { process } = globalThis as { process?: { env: Record<string, string | undefined> } }
  return [...Array(process?.env.FLEETCAST_SOAK ? few * 20 : few).keys()]
}

/** Random numbers that a seed fixes. */
export function random(seed: number): () => number {
  let a = seed >>> 0
  return () => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

/** EventSource as the standard has it: comes back by itself after a cut, ends for good at any answer but 200. */
export function eventSources(gateway: Gateway, chop: () => number = () => 1, runs: () => boolean = () => true) {
  const all: FakeEventSource[] = []
  class FakeEventSource extends EventTarget implements EventSourceLike {
    readyState = 0
    #lastId = ''
    #leave: (() => void) | null = null
    #timer: ReturnType<typeof setTimeout> | undefined

    constructor(readonly url: string) {
      super()
      all.push(this)
      this.#timer = setTimeout(() => this.#connect(), 1)
    }

    close(): void {
      this.readyState = 2
      clearTimeout(this.#timer)
      this.#leave?.()
    }

    #connect(): void {
      if (!runs()) {
        this.#timer = setTimeout(() => this.#connect(), 500)
        return
      }
      const parser = new Parser(this.#lastId, m => {
        if (this.readyState === 1) this.dispatchEvent(Object.assign(new Event(m.name), { data: m.data, lastEventId: m.id }))
      })
      let over = false
      this.#leave = gateway.accept(this.url, this.#lastId, '', {
        status: code => {
          over = code !== 200
          this.readyState = over ? 2 : 1
          this.dispatchEvent(new Event(over ? 'error' : 'open'))
        },
        text: text => {
          for (let at = 0; at < text.length && this.readyState === 1;) {
            const n = Math.max(1, Math.ceil(chop() * text.length))
            parser.push(text.slice(at, at + n))
            at += n
          }
          this.#lastId = parser.lastId
        },
        cut: () => {
          if (this.readyState === 2 || over) return
          this.#leave?.()
          this.readyState = 0
          this.#timer = setTimeout(() => this.#connect(), 3000)
          this.dispatchEvent(new Event('error'))
        },
      })
    }
  }
  return { EventSource: FakeEventSource, all }
}

interface Held { name: string; mode: string; drop: (error: unknown) => void; tab: Tab | null }
interface Waiting { name: string; mode: string; grant: () => void; tab: Tab }

/** A browser with tabs: the locks, channels and storage that its tabs share. */
export class Browser {
  readonly tabs: Tab[] = []
  readonly stored = new Map<string, string>()
  held: Held[] = []
  #queue: Waiting[] = []
  channels = new Set<Channel>()

  constructor(readonly gateway: Gateway, readonly chance: () => number = () => 0.5) {}

  grant(): void {
    for (const w of [...this.#queue]) {
      const first = this.#queue.find(q => q.name === w.name)
      const clash = this.held.some(h => h.name === w.name && (h.mode === 'exclusive' || w.mode === 'exclusive'))
      if (first !== w || clash) continue
      this.#queue.splice(this.#queue.indexOf(w), 1)
      w.grant()
    }
  }

  forget(tab: Tab): void {
    this.#queue = this.#queue.filter(w => w.tab !== tab)
  }

  locks(tab: Tab): LocksLike {
    return {
      query: async () => ({ held: this.held.map(({ name }) => ({ name })) }),
      request: (name, { mode = 'exclusive', steal = false, signal }, run) => new Promise((resolve, reject) => {
        const hold = () => {
          const held: Held = { name, mode, drop: reject, tab }
          this.held.push(held)
          const done = () => {
            this.held = this.held.filter(h => h !== held)
            this.grant()
          }
          queueMicrotask(() => void run().then(value => { done(); resolve(value) }, error => { done(); reject(error) }))
        }
        if (signal?.aborted) {
          reject(signal.reason)
          return
        }
        if (steal && tab.asleep) return
        if (steal) {
          for (const h of this.held.filter(other => other.name === name)) {
            this.held = this.held.filter(o => o !== h)
            const tell = () => h.drop(new DOMException('stolen', 'AbortError'))
            if (h.tab?.asleep) h.tab.missed.push(tell)
            else tell()
          }
          hold()
          return
        }
        if (tab.dead) return
        const waiting: Waiting = { name, mode, grant: hold, tab }
        this.#queue.push(waiting)
        signal?.addEventListener('abort', () => {
          if (!this.#queue.includes(waiting)) return
          this.#queue.splice(this.#queue.indexOf(waiting), 1)
          reject(signal.reason)
          this.grant()
        })
        setTimeout(() => this.grant(), 0)
      }),
    }
  }

  tab(): Tab {
    const tab = new Tab(this)
    this.tabs.push(tab)
    return tab
  }

  /** localStorage: the others are told a moment later of what one writes. */
  storage(tab: Tab): StorageLike {
    const map = () => tab.frozen ?? this.stored
    const write = (key: string, change: () => void) => {
      change()
      if (tab.frozen) return
      for (const other of this.tabs) {
        if (other === tab) continue
        const tell = () => void other.window.dispatchEvent(Object.assign(new Event('storage'), { key }))
        setTimeout(() => { if (other.frozen) other.missed.push(tell); else tell() }, 1)
      }
    }
    return {
      get length() { return map().size },
      key: i => [...map().keys()][i] ?? null,
      getItem: key => map().get(key) ?? null,
      setItem: (key, value) => write(key, () => map().set(key, value)),
      removeItem: key => write(key, () => map().delete(key)),
    }
  }
}

class Channel implements ChannelLike {
  onmessage: ((event: MessageEvent) => void) | null = null
  constructor(readonly browser: Browser, readonly tab: Tab, readonly name: string) {
    browser.channels.add(this)
  }

  postMessage(data: unknown): void {
    if (this.tab.asleep) return // code of ours runs on in this fake, and must not be heard
    for (const other of this.browser.channels) {
      if (other === this || other.name !== this.name || other.tab === this.tab) continue
      const copy = structuredClone(data)
      const deliver = () => {
        if (!this.browser.channels.has(other)) return
        if (other.tab.asleep) other.tab.missed.push(deliver)
        else other.onmessage?.({ data: copy } as MessageEvent)
      }
      setTimeout(deliver, 1) // in order for each pair, as timers of one time are
    }
  }

  close(): void {
    this.browser.channels.delete(this)
  }
}

export class Tab {
  asleep = false
  dead = false
  missed: (() => void)[] = []
  frozen: Map<string, string> | null = null // code of ours runs on in this fake: what it writes and sees while the tab sleeps
  readonly document: PageLike & { visibilityState: string; dispatchEvent(event: Event): boolean }
  readonly window = new EventTarget()
  readonly platform: Platform
  readonly sources

  constructor(readonly browser: Browser) {
    this.document = Object.assign(new EventTarget(), { visibilityState: 'visible' }) as never
    this.sources = eventSources(browser.gateway, undefined, () => !this.asleep)
    this.platform = {
      EventSource: this.sources.EventSource,
      fetch: browser.gateway.fetch,
      BroadcastChannel: (tab => class extends Channel { constructor(name: string) { super(browser, tab, name) } })(this) as never,
      locks: browser.locks(this),
      storage: browser.storage(this),
      document: this.document,
      window: this.window as never,
      random: browser.chance,
    }
  }

  show(visible: boolean): void {
    this.document.visibilityState = visible ? 'visible' : 'hidden'
    this.document.dispatchEvent(new Event('visibilitychange'))
  }

  /** The browser freezes it: nothing runs, its locks stay. */
  sleep(): void {
    this.asleep = true
    this.frozen = new Map(this.browser.stored)
    for (const s of this.sources.all) s.close()
  }

  wake(): void {
    this.asleep = false
    this.frozen = null
    for (const run of this.missed.splice(0)) run()
  }

  /** The process of the tab ends: its locks go, and nobody says goodbye. */
  crash(): void {
    for (const s of this.sources.all) s.close()
    for (const c of [...this.browser.channels]) if (c.tab === this) c.close()
    this.browser.held = this.browser.held.filter(h => h.tab !== this)
    this.asleep = this.dead = true
    this.frozen = new Map()
    this.browser.forget(this)
    setTimeout(() => this.browser.grant(), 0)
  }
}
