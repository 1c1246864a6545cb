// Lists of the gateway as the page edits them: read as a whole, changed one at a time, each change with the revision
// that the person has seen, so that nobody overwrites what somebody else has just done.

import { ApiError, call } from '../state/api.ts'
import { Signal } from '../state/store.ts'
import { acting } from './words.ts'

const PAGE = 500
const MOST_PAGES = 20 // 10,000 things are no list for a person

/** Reads all pages of a list whose member is `name`. */
export async function readAll<T>(path: string, name: string): Promise<T[]> {
  const all: T[] = []
  let after = ''
  for (let page = 0; page < MOST_PAGES; page++) {
    const more: Record<string, string> = { limit: String(PAGE), ...(after !== '' && { after }) }
    const answer = await call<Record<string, unknown>>('GET', `${path}${path.includes('?') ? '&' : '?'}${new URLSearchParams(more)}`)
    all.push(...(answer[name] as T[] ?? []))
    after = typeof answer.next === 'string' ? answer.next : ''
    if (after === '') break
  }
  return all
}

export interface Item { id: string, revision?: number }

/** A list that is on the server, as far as it was read. */
export class Things<T extends Item> extends Signal {
  items: T[] = []
  state: 'new' | 'loading' | 'ready' | 'failed' = 'new'
  trouble = ''

  constructor(readonly path: string, private readonly member: string) { super() }

  get(id: string): T | undefined {
    return this.items.find(item => item.id === id)
  }

  /** Reads it once; `again` reads it anew. */
  async load(again = false): Promise<void> {
    if (this.state === 'loading' || (this.state === 'ready' && !again)) return
    this.state = this.state === 'ready' ? 'ready' : 'loading'
    try {
      this.items = await readAll<T>(this.path, this.member)
      this.state = 'ready'
      this.trouble = ''
    } catch (error) {
      this.state = 'failed'
      this.trouble = wordsOf(error)
    }
    this.emit()
  }

  /** Returns what the gateway answers: a secret is only there. */
  async create(body: unknown): Promise<unknown> {
    const made = await call('POST', this.path, body, { 'idempotency-key': newKey() })
    await this.load(true)
    return made
  }

  async change(item: T, patch: unknown): Promise<unknown> {
    return await this.guarded('PATCH', item, patch)
  }

  async remove(item: T): Promise<void> {
    await this.guarded('DELETE', item)
  }

  private async guarded(method: string, item: T, body?: unknown): Promise<unknown> {
    const tag: Record<string, string> = item.revision ? { 'if-match': `"${item.revision}"` } : {}
    let answer: unknown
    try {
      answer = await call(method, `${this.path}/${encodeURIComponent(item.id)}`, body, tag)
    } catch (error) {
      if (!(error instanceof ApiError) || (error.status !== 409 && error.status !== 412) || !item.revision) throw error
      await this.load(true)
      const now = this.get(item.id)
      if (now?.revision !== item.revision) throw new ApiError(error.status, acting.changed)
      throw error
    }
    await this.load(true)
    return answer
  }
}

/** One for each thing that is asked for. A page without https has no randomUUID. */
export function newKey(): string {
  return crypto.randomUUID?.() ?? Array.from(crypto.getRandomValues(new Uint8Array(16)), b => b.toString(16).padStart(2, '0')).join('')
}

export function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : acting.unreadable
}

/** What a merge patch (RFC 7396) needs to make `before` into `after`: what is absent there is null. */
export function patchOf(before: Record<string, unknown>, after: Record<string, unknown>): Record<string, unknown> {
  const patch: Record<string, unknown> = {}
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const [was, is] = [before[key], after[key]]
    if (JSON.stringify(was) === JSON.stringify(is)) continue
    if (is === undefined) patch[key] = null
    else if (isObject(was) && isObject(is)) patch[key] = patchOf(was, is)
    else patch[key] = is
  }
  return patch
}

function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}

/** An id made of a name, which nobody else has. */
export function idOf(name: string, taken: (id: string) => boolean): string {
  const plain = name.normalize('NFKD').replace(/[\u0300-\u036f]/g, '').toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-+|-+$/g, '').slice(0, 48) || 'place'
  if (!taken(plain)) return plain
  for (let n = 2; ; n++) if (!taken(`${plain}-${n}`)) return `${plain}-${n}`
}
