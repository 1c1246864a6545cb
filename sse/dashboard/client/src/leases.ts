// Locks where the browser has none: on a page that came by plain http from another host.
//
// A lock is an entry of localStorage with its holder and the time until which it holds. Its holder renews it; who finds
// it old may take it, and so may who wants it by force. Browsers tell other tabs of a change, not at once: who takes a lock looks
// again after a moment whether it is still there, and who held it hears that it is lost. So there may be two holders for
// a moment, which Web Locks never have; what they hold is a stream, and each of two streams is right.
//
// Timers of a hidden tab may run once a minute. So a lease outlives the longest silence of a stream, and is renewed
// with what is heard, too.

import type { LocksLike, Platform, StorageLike } from './platform.js'

const LEASE = 20_000 // heartbeats come at least every 15 s
const RENEW = 4000
const CHECK = 1000
const SETTLE = 50
const PREFIX = 'fleetcast-lock '

interface Held { name: string; until: number; lost(): void }
interface Wanted { name: string; claimed: number; hold(): void }

export class Leases implements LocksLike {
  readonly #me = Math.random().toString(36).slice(2)
  readonly #held = new Set<Held>()
  readonly #wanted = new Set<Wanted>()
  #timer: ReturnType<typeof setInterval> | undefined
  #stepped = 0
  readonly #told = (event: Event) => {
    if ((event as StorageEvent).key?.startsWith(PREFIX) !== false) this.#step() // null: all was cleared
  }

  private constructor(readonly storage: StorageLike, readonly window: Platform['window']) {}

  /** Undefined where nothing can be kept: there is no localStorage, or no room in it. */
  static of({ storage, window }: Platform): Leases | undefined {
    if (!storage) return undefined
    const key = `${PREFIX}? ${Math.random()}`
    try {
      storage.setItem(key, '')
      storage.removeItem(key)
    } catch {
      return undefined
    }
    return new Leases(storage, window)
  }

  request(
    name: string,
    { mode, steal, signal }: { mode?: 'exclusive' | 'shared'; steal?: boolean; signal?: AbortSignal },
    run: () => Promise<unknown>,
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason)
        return
      }
      const wanted: Wanted = {
        name, claimed: 0,
        hold: () => {
          const held: Held = { name, until: 0, lost: () => reject(new DOMException('taken by another tab', 'AbortError')) }
          this.#held.add(held)
          this.#write(held)
          const over = () => this.#release(held)
          run().then(value => { over(); resolve(value) }, error => { over(); reject(error) })
        },
      }
      signal?.addEventListener('abort', () => {
        if (!this.#wanted.delete(wanted)) return
        if (wanted.claimed > 0 && this.#holder(name)?.by === this.#me) this.storage.removeItem(PREFIX + name)
        reject(signal.reason)
        this.#rest()
      })
      this.#wake()
      // Nobody else asks for a shared one of this name; each tab has its own.
      if (mode === 'shared') {
        wanted.hold()
        return
      }
      this.#wanted.add(wanted)
      if (steal) this.#claim(wanted)
      this.#step()
    })
  }

  async query(): Promise<{ held: { name: string }[] }> {
    const names: string[] = []
    for (let i = 0; i < this.storage.length; i++) {
      const key = this.storage.key(i)
      if (key?.startsWith(PREFIX)) names.push(key.slice(PREFIX.length))
    }
    return { held: names.filter(name => this.#holder(name)).map(name => ({ name })) }
  }

  renew(): void {
    if (Date.now() - this.#stepped >= CHECK) this.#step()
  }

  #step(): void {
    this.#stepped = Date.now()
    for (const held of this.#held) {
      const entry = this.storage.getItem(PREFIX + held.name)
      if (entry !== null && entry.split(' ')[0] !== this.#me) {
        this.#held.delete(held)
        held.lost()
      } else if (entry === null || held.until - Date.now() < LEASE - RENEW) {
        this.#write(held)
      }
    }
    for (const wanted of this.#wanted) {
      const by = this.#holder(wanted.name)?.by
      if (by !== undefined && by !== this.#me) {
        wanted.claimed = 0
      } else if (by === undefined || wanted.claimed === 0) {
        this.#claim(wanted)
      } else if (Date.now() - wanted.claimed >= SETTLE) {
        this.#wanted.delete(wanted)
        wanted.hold()
      }
    }
    this.#rest()
  }

  #claim(wanted: Wanted): void {
    wanted.claimed = Date.now()
    this.#put(wanted.name, wanted.claimed + LEASE)
    setTimeout(() => this.#step(), SETTLE)
  }

  #write(held: Held): void {
    held.until = Date.now() + LEASE
    this.#put(held.name, held.until)
  }

  #put(name: string, until: number): void {
    try {
      this.storage.setItem(PREFIX + name, `${this.#me} ${until}`)
    } catch {
      // No room any more. What was written before holds until its time; then another tab may have it.
    }
  }

  #holder(name: string): { by: string } | null {
    const [by, until] = this.storage.getItem(PREFIX + name)?.split(' ') ?? []
    const left = Number(until) - Date.now()
    if (by !== undefined && left > 0 && left <= LEASE) return { by } // more is left by a clock that was set back
    if (by !== undefined && by !== this.#me) this.storage.removeItem(PREFIX + name)
    return null
  }

  #release(held: Held): void {
    if (!this.#held.delete(held)) return
    if (this.storage.getItem(PREFIX + held.name)?.split(' ')[0] === this.#me) this.storage.removeItem(PREFIX + held.name)
    this.#rest()
  }

  #wake(): void {
    if (this.#timer !== undefined) return
    this.#timer = setInterval(() => this.#step(), CHECK)
    this.window?.addEventListener('storage', this.#told)
  }

  #rest(): void {
    if (this.#held.size > 0 || this.#wanted.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
    this.window?.removeEventListener('storage', this.#told)
  }
}
