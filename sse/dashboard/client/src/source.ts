// The two ways to a stream: the browser's EventSource, and fetch where a header must be sent or read.

import { Parser, type Message } from './parse.js'
import type { Platform } from './platform.js'

/** The types of messages that a stream sends. */
const NAMES = ['message', 'batch', 'removed', 'reset', 'ready', 'alert', 'command', 'heartbeat', 'view']

/** Why a source is over. */
export interface End {
  /** Of the answer, where it is known: EventSource does not say. */
  status?: number
  /** How long the gateway asks to wait, ms. */
  wait?: number
}

/** What a source tells. After `end`, and after `close()`, it tells nothing. */
export interface SourceListener {
  open(): void
  message(message: Message): void
  /** The browser lost the stream and comes back by itself, with the last id. */
  retrying(): void
  end(why: End): void
}

export interface Source {
  close(): void
}

const CLOSED = 2 // EventSource.CLOSED

export function openEventSource(platform: Platform, url: string, credentials: boolean, on: SourceListener): Source {
  const source = new platform.EventSource!(url, { withCredentials: credentials })
  let closed = false
  const listen = (name: string, handle: (event: Event) => void) => {
    source.addEventListener(name, event => {
      if (!closed) handle(event) // an event may have been in the queue when we closed
    })
  }
  listen('open', () => on.open())
  listen('error', () => {
    if (source.readyState !== CLOSED) {
      on.retrying()
      return
    }
    closed = true
    on.end({})
  })
  for (const name of NAMES) {
    listen(name, event => {
      const { data, lastEventId } = event as MessageEvent<string>
      on.message({ name, data, id: lastEventId })
    })
  }
  return { close: () => { closed = true; source.close() } }
}

export interface FetchSourceOptions {
  url: string
  position: string
  headers: Record<string, string>
  credentials: RequestCredentials
}

export function openFetch(platform: Platform, options: FetchSourceOptions, on: SourceListener): Source {
  const abort = new AbortController()
  const headers: Record<string, string> = { accept: 'text/event-stream', ...options.headers }
  if (options.position !== '') headers['last-event-id'] = options.position
  void read(platform, options, headers, abort.signal, on).then(why => {
    if (!abort.signal.aborted) on.end(why)
  })
  return { close: () => abort.abort() }
}

async function read(
  platform: Platform, { url, credentials, position }: FetchSourceOptions, headers: Record<string, string>,
  signal: AbortSignal, on: SourceListener,
): Promise<End> {
  const parser = new Parser(position, message => {
    if (!signal.aborted) on.message(message)
  })
  try {
    const answer = await platform.fetch(url, { headers, credentials, cache: 'no-store', signal })
    if (signal.aborted) return {}
    if (answer.status !== 200 || !answer.headers.get('content-type')?.startsWith('text/event-stream') || !answer.body) {
      void answer.body?.cancel().catch(() => {})
      return end(answer)
    }
    on.open()
    const reader = answer.body.getReader()
    const decoder = new TextDecoder()
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      parser.push(decoder.decode(value, { stream: true }))
    }
  } catch {
    // cut, refused or aborted: the stream is over either way
  }
  return parser.retry === null ? {} : { wait: parser.retry }
}

/** What an answer that is no stream says. */
export function end(answer: Response): End {
  const seconds = Number(answer.headers.get('retry-after') ?? NaN)
  return { status: answer.status, ...(seconds >= 0 && { wait: seconds * 1000 }) }
}
