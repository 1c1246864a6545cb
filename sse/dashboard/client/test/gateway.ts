// A gateway in memory that speaks the stream's contract as an edge does: snapshots and resumes are passes over the
// devices in a fixed order, cut in slices that each end with an id; events come first in a pass, once; the removed are
// kept; another epoch or filter is a reset.

import type { Asset, View } from '../src/types.js'
import { viewOf } from '../src/view.js'

interface Kept { asset: Asset; offset: number }
interface Mark { epoch: number; from: number; to?: number; at?: number; filter: string }

export interface Sink {
  status(code: number): void
  text(text: string): void
  cut(): void
}

export type Answer = 'ok' | 'down' | number

export class Gateway {
  answer: Answer = 'ok'
  views = true
  lag = 0
  slice = 3
  epoch = 1
  head = 1
  opened: { url: string; lastId: string; authorization: string; at: number }[] = []
  puts: { sid: string; body: { seq: number; bbox?: number[] | null; every?: number } }[] = []
  tickets: string[] = []
  readonly kept = new Map<string, Kept>()
  readonly conns = new Set<Conn>()
  events: { name: string; data: object; offset: number }[] = []
  gone: { id: string; fleet: string; offset: number }[] = []
  #sids = 0

  put(...assets: (Partial<Asset> & { id: string })[]): void {
    this.head++
    for (const more of assets) {
      const asset: Asset = { fleet: 'north', status: 'online', received: Date.now(), ...more }
      const before = this.kept.get(asset.id)
      if (before && before.asset.fleet !== asset.fleet) this.gone.push({ id: asset.id, fleet: before.asset.fleet, offset: this.head })
      this.gone = this.gone.filter(g => g.id !== asset.id || g.fleet !== asset.fleet)
      this.kept.set(asset.id, { asset, offset: this.head })
    }
    this.tick()
  }

  remove(id: string): void {
    const before = this.kept.get(id)
    if (!before) return
    this.head++
    this.kept.delete(id)
    this.gone.push({ id, fleet: before.asset.fleet, offset: this.head })
    this.tick()
  }

  event(name: string, data: object): void {
    this.head++
    this.events.push({ name, data, offset: this.head })
    this.tick()
  }

  /** As a gateway that lost its store. */
  restart(): void {
    this.epoch++
    this.head = 1
    this.kept.clear()
    this.events = []
    this.gone = []
    this.cutAll()
  }

  cutAll(): void {
    for (const conn of [...this.conns]) conn.cut()
  }

  tick(): void {
    for (const conn of this.conns) conn.tick()
  }

  /** Lets every stream catch up. */
  settle(): void {
    for (const conn of this.conns) while (conn.behind) conn.step()
  }

  heartbeat(): void {
    for (const conn of this.conns) conn.heartbeat()
  }

  accept(url: string, header: string, authorization: string, sink: Sink): (() => void) | null {
    const query = new URLSearchParams(url.split('?')[1])
    const lastId = header || query.get('last_event_id') || ''
    this.opened.push({ url, lastId, authorization, at: Date.now() })
    if (this.answer === 'down') {
      sink.cut()
      return null
    }
    if (this.answer !== 'ok') {
      sink.status(this.answer)
      return null
    }
    sink.status(200)
    const conn = new Conn(this, `s${++this.#sids}`, viewOf(url), lastId, sink)
    this.conns.add(conn)
    return () => this.conns.delete(conn)
  }

  /** fetch of everything but streams by EventSource. */
  fetch = async (url: string, init: RequestInit = {}): Promise<Response> => {
    await Promise.resolve()
    const headers = new Headers(init.headers)
    const authorization = headers.get('authorization') ?? ''
    if (this.answer === 'down') throw new TypeError('network')
    if (url.includes('/api/tickets')) {
      if (this.answer !== 'ok') return new Response(null, { status: this.answer })
      const asked = (JSON.parse(String(init.body)) as { url: string }).url
      this.tickets.push(asked)
      return Response.json({ url: `${asked}&ticket=t${this.tickets.length}` }, { status: 201 })
    }
    if (init.method === 'PUT') return this.#putView(url, String(init.body))
    if (init.method === 'HEAD') return new Response(null, { status: this.answer === 'ok' ? 200 : this.answer })
    return this.#stream(url, headers.get('last-event-id') ?? '', authorization, init.signal ?? undefined)
  }

  #putView(url: string, body: string): Response {
    const sid = url.split('/').at(-2) ?? ''
    const conn = [...this.conns].find(c => c.sid === sid)
    if (!this.views || !conn) return Response.json({ detail: 'there is no such stream' }, { status: 404 })
    const view = JSON.parse(body) as View & { seq: number }
    this.puts.push({ sid, body: view as never })
    if (view.bbox && view.bbox[1] > view.bbox[3]) return Response.json({ detail: 'south is north of north' }, { status: 400 })
    conn.look(view)
    return new Response(null, { status: 204 })
  }

  #stream(url: string, lastId: string, authorization: string, signal?: AbortSignal): Promise<Response> {
    return new Promise((resolve, reject) => {
      let leave: (() => void) | null = null
      const encoder = new TextEncoder()
      let out!: ReadableStreamDefaultController<Uint8Array>
      const body = new ReadableStream<Uint8Array>({ start: c => { out = c } })
      let open = true
      const end = () => {
        if (open) { open = false; try { out.error(new TypeError('cut')) } catch { /* over */ } }
        leave?.()
      }
      signal?.addEventListener('abort', end)
      leave = this.accept(url, lastId, authorization, {
        status: code => resolve(new Response(code === 200 ? body : null, { status: code, headers: code === 200 ? { 'content-type': 'text/event-stream' } : {} })),
        text: text => { if (open) out.enqueue(encoder.encode(text)) },
        cut: () => { reject(new TypeError('network')); end() },
      })
    })
  }
}

class Conn {
  behind = true
  #mark: Mark
  #pass: { items: string[]; to: number } | null = null
  #ready = false
  #sent = new Set<string>()
  #view: View
  #filter: string

  constructor(readonly gateway: Gateway, readonly sid: string, view: View, lastId: string, readonly sink: Sink) {
    this.#view = view
    this.#filter = filterOf(view)
    this.#mark = { epoch: gateway.epoch, from: 0, filter: this.#filter }
    if (lastId === '') return
    let mark: Mark | null = null
    try {
      mark = JSON.parse(lastId) as Mark
    } catch {
      // garbage is a snapshot
    }
    if (mark && mark.epoch === gateway.epoch && mark.filter === this.#filter && mark.from <= gateway.head) this.#mark = mark
    else if (mark) this.#say('reset', { reason: 'epoch' }, this.#id())
  }

  cut(): void {
    this.gateway.conns.delete(this)
    this.sink.cut()
  }

  look(view: View & { seq: number }): void {
    const had = new Set([...this.gateway.kept].filter(([, k]) => this.#sees(k.asset)).map(([id]) => id))
    this.#view = view
    this.#filter = this.#mark.filter = filterOf(view)
    this.#say('view', { seq: view.seq }, this.#id())
    for (const [id, { asset }] of this.gateway.kept) {
      const sees = this.#sees(asset)
      if (sees) this.#assets([asset], '')
      else if (this.#sent.delete(id) || had.has(id)) this.#say('removed', { id, fleet: asset.fleet }, '')
    }
  }

  heartbeat(): void {
    this.#say('heartbeat', { now: Date.now(), lag_ms: this.gateway.lag }, this.behind ? '' : this.#id())
  }

  /** What changed since the last tick, for a stream that is up to date. */
  tick(): void {
    if (this.behind) return
    this.#begin(this.#mark.from)
    while (this.#pass) this.#slice()
  }

  /** One slice of catching up. */
  step(): void {
    if (!this.behind) return
    if (!this.#pass) this.#begin(this.#mark.from, this.#mark.to, this.#mark.at)
    this.#slice()
    if (this.#pass || this.#mark.from < this.gateway.head) return
    this.behind = false
    if (this.#ready) return
    this.#ready = true
    this.#say('ready', { sid: this.sid, assets: this.gateway.kept.size, position: this.#id() }, this.#id())
    this.heartbeat()
  }

  #begin(from: number, to = this.gateway.head, at = -1): void {
    if (at < 0) {
      for (const e of this.gateway.events) if (e.offset > from && e.offset <= to && from > 0) this.#say(e.name, e.data, '')
    }
    for (const { id, fleet, offset } of this.gateway.gone) {
      if (offset > from && from > 0) { this.#sent.delete(id); this.#say('removed', { id, fleet }, '') }
    }
    const items = [...this.gateway.kept.entries()]
      .filter(([id, k]) => k.offset > from && hash(id) > at)
      .map(([id]) => id).sort((a, b) => hash(a) - hash(b))
    this.#pass = { items, to }
  }

  #slice(): void {
    const pass = this.#pass!
    const now = pass.items.splice(0, this.gateway.slice)
    if (pass.items.length === 0) {
      this.#pass = null
      this.#mark = { epoch: this.#mark.epoch, from: pass.to, filter: this.#filter }
    } else {
      this.#mark = { ...this.#mark, to: pass.to, at: hash(now.at(-1)!) }
    }
    const assets: Asset[] = []
    for (const id of now) {
      const asset = this.gateway.kept.get(id)?.asset
      if (!asset) continue // removed meanwhile; the next pass says so
      if (this.#sees(asset)) assets.push(asset)
      else if (this.#sent.delete(id)) this.#say('removed', { id, fleet: asset.fleet }, '')
    }
    this.#assets(assets, this.#id())
  }

  #sees(a: Asset): boolean {
    const { fleets, bbox } = this.#view
    if (fleets?.length && !fleets.includes(a.fleet)) return false
    if (!bbox) return true
    const { lat = NaN, lon = NaN } = a
    return lat >= bbox[1] && lat <= bbox[3] && (bbox[0] <= bbox[2] ? lon >= bbox[0] && lon <= bbox[2] : lon >= bbox[0] || lon <= bbox[2])
  }

  #assets(assets: Asset[], id: string): void {
    if (assets.length === 0) {
      if (id) this.sink.text(`id: ${id}\n\n`)
      return
    }
    for (const a of assets) this.#sent.add(a.id)
    this.sink.text(`event: batch\ndata: ${JSON.stringify(assets)}\n${id && `id: ${id}\n`}\n`)
  }

  #say(name: string, data: object, id: string): void {
    this.sink.text(`event: ${name}\ndata: ${JSON.stringify(data)}\n${id && `id: ${id}\n`}\n`)
  }

  #id(): string {
    return JSON.stringify(this.#mark)
  }
}

function filterOf({ fleets, devices, bbox, fields }: View): string {
  return JSON.stringify([fleets ?? [], devices ?? [], bbox ?? [], fields ?? []])
}

function hash(text: string): number {
  let h = 2166136261
  for (const c of text) h = Math.imul(h ^ c.codePointAt(0)!, 16777619)
  return h >>> 0
}
