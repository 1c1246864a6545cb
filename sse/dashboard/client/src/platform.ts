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
    document: g.document,
    window: g.window,
    random: Math.random,
  }
}
