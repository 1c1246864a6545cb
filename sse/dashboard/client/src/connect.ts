import { Emitter } from './emitter.js'
import { Feed } from './feed.js'
import { ServerClock } from './freshness.js'
import { browser, type Platform } from './platform.js'
import { AssetStore } from './store.js'
import type { EventName, Events, Listener, State, View } from './types.js'
import { withParameter, withView } from './view.js'

export interface Options extends View {
  /** Of the stream; a path is one of this page's origin. Default: /stream/assets. */
  url?: string
  /**
   * A token of `gateway token create` or of your identity provider, or what gets one; it is called anew for each
   * connection, with `true` where the last token was refused. Without it the browser's session cookie is what counts.
   */
  token?: string | ((again: boolean) => string | Promise<string>)
  /**
   * How the stream comes. `eventsource`: the browser's own; a token then becomes a ticket. `fetch`: a token goes as
   * Authorization header. Default: fetch where there is a token or no EventSource, else eventsource.
   */
  transport?: 'eventsource' | 'fetch'
  /** Where tickets are made. Default: /api/tickets of the stream's origin. */
  tickets?: string
  /** Whether cookies go to another origin. Default: same-origin. */
  credentials?: RequestCredentials
  /**
   * Whether the tabs of the browser share one stream: true, false, or a name that keeps apart what must not be shared.
   * Default: true without a token; with one a name is needed, as tabs may be of different people.
   */
  share?: boolean | string
  /** While no tab is visible for `after` ms updates come `every` ms, and none after `pauseAfter` ms (0: go on for ever). */
  hidden?: { after?: number; every?: number; pauseAfter?: number }
  /** Silence, ms, after which the stream is opened anew: two heartbeats that did not come. Default: 35,000. */
  watchdog?: number
  /** A lag, ms, from which the state is `stale`. Default: 5,000. */
  stale?: number
  /** Bounds of the waits between attempts, ms. Default: 1,000 to 30,000. */
  backoff?: { first?: number; most?: number }
  /** Replaces what the connection uses of the browser. */
  platform?: Partial<Platform>
}

/** Opens a stream, or joins the one of another tab. */
export function connect(options: Options = {}): Connection {
  return new Connection(options)
}

export class Connection {
  /** The assets, by id. */
  readonly store = new AssetStore()
  readonly #emitter = new Emitter()
  readonly #clock = new ServerClock()
  readonly #platform: Platform
  readonly #feed: Feed
  readonly #seen = new Recent()
  #state: State = 'connecting'
  #sid = ''
  readonly #wake = (event: Event) => this.#awake(event)

  constructor(options: Options) {
    this.#platform = { ...browser(), ...options.platform }
    this.#feed = new Feed(settle(options, this.#platform), this.#platform, this.store, {
      event: (name, data) => this.#event(name, data),
      status: () => this.#status(),
    })
    for (const name of ['pagehide', 'pageshow', 'online']) this.#platform.window?.addEventListener(name, this.#wake)
    this.#feed.start()
  }

  get state(): State {
    return this.#state
  }

  /** How late the gateway says that this may be, ms; null where it has not said it. */
  get lagMs(): number | null {
    return this.#feed.status.lagMs
  }

  /** When the last message came, unix ms by this computer's clock; null before the first. */
  get lastHeard(): number | null {
    return this.#feed.status.lastHeard
  }

  /** Where the stream is: opaque, good for `last_event_id`. '' before the first. */
  get position(): string {
    return this.#feed.position
  }

  /** The name of the stream at its edge; '' before `ready`. */
  get sid(): string {
    return this.#sid
  }

  /** Whether this tab holds the stream that the others read. */
  get leading(): boolean {
    return this.#feed.leading
  }

  /** The gateway's clock, unix ms, as far as it is known. Ages are to be taken from it, not from this computer's. */
  serverNow(): number {
    return this.#clock.now()
  }

  /** Returns what ends it. A listener that throws keeps no other from hearing. */
  on<N extends EventName>(name: N, listener: Listener<N>): () => void {
    return this.#emitter.on(name, listener)
  }

  /**
   * Changes what the stream shows, without reconnecting where the gateway can; it replaces the filter of the options. What enters comes as `assets`, what leaves
   * as `removed`. Returns the number that the `view` event will name. Tabs that share see what any of them asks for.
   */
  setView(view: View): number {
    return this.#feed.setView(view)
  }

  /** Tries at once, also after `signed-out`: somebody has signed in. */
  reconnect(): void {
    this.#feed.reconnect()
  }

  close(): void {
    for (const name of ['pagehide', 'pageshow', 'online']) this.#platform.window?.removeEventListener(name, this.#wake)
    this.#feed.close()
    this.store.close()
  }

  #event<N extends EventName>(name: N, data: Events[N]): void {
    switch (name) {
      case 'assets': {
        const assets = data as Events['assets']
        this.store.put(assets)
        for (const asset of assets) this.#clock.witness(asset.received)
        break
      }
      case 'removed':
        // A device that has moved is still there: nobody need hear of it.
        if (!this.store.remove(data as Events['removed'])) return
        break
      case 'reset':
        this.store.clear()
        break
      case 'ready':
        this.#sid = (data as Events['ready']).sid
        break
      case 'heartbeat':
        this.#clock.hear((data as Events['heartbeat']).now)
        break
      case 'alert': case 'command': {
        const { id, state, at } = data as Events['alert']
        if (!this.#seen.first(`${name} ${id} ${state} ${at}`)) return // told again by a resume
      }
    }
    this.#emitter.emit(name, data)
  }

  #status(): void {
    const { state } = this.#feed.status
    if (state === this.#state) return
    this.#state = state
    this.#emitter.emit('state', state)
  }

  #awake(event: Event): void {
    if (event.type === 'online') {
      this.#feed.hurry()
    } else if (event.type === 'pagehide') {
      this.#feed.suspend() // a page that is kept for the back button must hold no stream
    } else if ((event as PageTransitionEvent).persisted) {
      this.#feed.start()
    }
  }
}

const REMEMBERED = 1000

/** The newest names, to know one that comes again. */
class Recent {
  readonly #names = new Set<string>()

  first(name: string): boolean {
    if (this.#names.has(name)) return false
    this.#names.add(name)
    if (this.#names.size > REMEMBERED) for (const oldest of this.#names) { this.#names.delete(oldest); break }
    return true
  }
}

function settle(options: Options, platform: Platform) {
  const { fleets, devices, bbox, fields, every, token } = options
  const view: View = { ...(fleets && { fleets }), ...(devices && { devices }), ...(bbox && { bbox }), ...(fields && { fields }), ...(every && { every }) }
  const plain = options.url ?? '/stream/assets'
  const url = withParameter(Object.keys(view).length > 0 ? withView(plain, view) : plain, 'format', 'batch')
  const origin = /^[a-z]+:\/\/[^/?]+/i.exec(url)?.[0] ?? ''
  const share = options.share ?? token === undefined
  const name = typeof share === 'string' ? `${share} ${url}` : url
  return {
    url,
    transport: options.transport ?? (token === undefined && platform.EventSource ? 'eventsource' as const : 'fetch' as const),
    token: typeof token === 'string' ? () => token : token,
    tickets: options.tickets ?? `${origin}/api/tickets`,
    credentials: options.credentials ?? 'same-origin' as const,
    watchdog: options.watchdog ?? 35_000,
    stale: options.stale ?? 5000,
    backoff: { first: options.backoff?.first ?? 1000, most: options.backoff?.most ?? 30_000 },
    share: share === false || (share === true && token !== undefined) ? '' : name,
    hidden: { after: options.hidden?.after ?? 10_000, every: options.hidden?.every ?? 10_000, pauseAfter: options.hidden?.pauseAfter ?? 0 },
  }
}
