// What a connection needs of the browser. Tests and other surroundings give their own.

export interface EventSourceLike {
  readonly readyState: number
  addEventListener(name: string, listener: (event: Event) => void): void
  close(): void
}

export interface ChannelLike {
  onmessage: ((event: MessageEvent) => void) | null
  postMessage(data: unknown): void
  close(): void
}

export interface LocksLike {
  request(
    name: string,
    options: { mode?: 'exclusive' | 'shared'; steal?: boolean; signal?: AbortSignal },
    held: () => Promise<unknown>,
  ): Promise<unknown>
  query(): Promise<{ held?: { name?: string }[] }>
  /** There was a sign of life: where locks are leases, they are to be renewed. */
  renew?(): void
}

/** What of localStorage is needed. */
export interface StorageLike {
  readonly length: number
  key(index: number): string | null
  getItem(key: string): string | null
  setItem(key: string, value: string): void
  removeItem(key: string): void
}

/** The page's visibility and its life. */
export interface PageLike {
  readonly visibilityState: string
  addEventListener(name: string, listener: (event: Event) => void): void
  removeEventListener(name: string, listener: (event: Event) => void): void
}

export interface Platform {
  EventSource?: (new (url: string, init?: { withCredentials?: boolean }) => EventSourceLike) | undefined
  fetch: (url: string, init?: RequestInit) => Promise<Response>
  BroadcastChannel?: (new (name: string) => ChannelLike) | undefined
  locks?: LocksLike | undefined
  /** Takes the place of locks where there are none. */
  storage?: StorageLike | undefined
  document?: PageLike | undefined
  /** Where pagehide and pageshow happen. */
  window?: Omit<PageLike, 'visibilityState'> | undefined
  random: () => number
}

export function browser(): Platform {
  const g = globalThis as typeof globalThis & { document?: Document; window?: Window }
  return {
    EventSource: g.EventSource as Platform['EventSource'],
    fetch: (url, init) => g.fetch(url, init),
    BroadcastChannel: g.BroadcastChannel as unknown as Platform['BroadcastChannel'],
    locks: g.navigator?.locks as LocksLike | undefined,
    storage: storage(),
    document: g.document,
    window: g.window,
    random: Math.random,
  }
}

// Who refuses cookies refuses to be asked for it.
function storage(): Storage | undefined {
  try {
    return globalThis.localStorage
  } catch {
    return undefined
  }
}
