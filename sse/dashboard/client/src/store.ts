// The assets that a stream has given, by id, and who wants to know when they change: once a frame, however fast they come.

import type { Asset, Removed } from './types.js'

/** What changed since the last notification. */
export interface Changes {
  /** Ids that came or changed. */
  changed: ReadonlySet<string>
  /** Ids that are gone and did not come back. */
  removed: ReadonlySet<string>
  /** All were dropped first. */
  reset: boolean
}

export type Notify = (changes: Changes) => void

// A page that is hidden has no frames. What it does when it hears does not matter much then.
const HIDDEN_FRAME = 250

export class AssetStore {
  /** Counts notifications: equal numbers mean equal contents for who was notified. */
  version = 0

  readonly #assets = new Map<string, Asset>()
  readonly #all = new Set<Notify>()
  readonly #one = new Map<string, Set<() => void>>()
  #changed = new Set<string>()
  #removed = new Set<string>()
  #reset = false
  #cancel: (() => void) | null = null

  /** The live map: read it, and do not keep it over a frame. It changes as messages come, also between notifications. */
  get assets(): ReadonlyMap<string, Asset> {
    return this.#assets
  }

  get size(): number {
    return this.#assets.size
  }

  get(id: string): Asset | undefined {
    return this.#assets.get(id)
  }

  /** Calls notify at most once a frame, when anything changed. Returns what ends it. */
  subscribe(notify: Notify): () => void {
    const own: Notify = changes => notify(changes)
    this.#all.add(own)
    return () => { this.#all.delete(own) }
  }

  /** Calls notify at most once a frame, when the asset changed, came or went. */
  subscribeTo(id: string, notify: () => void): () => void {
    let set = this.#one.get(id)
    if (!set) this.#one.set(id, (set = new Set()))
    const own = () => notify()
    set.add(own)
    return () => {
      set.delete(own)
      if (set.size === 0 && this.#one.get(id) === set) this.#one.delete(id)
    }
  }

  put(assets: readonly Asset[]): void {
    for (const asset of assets) {
      this.#assets.set(asset.id, asset)
      this.#changed.add(asset.id)
      this.#removed.delete(asset.id)
    }
    this.#schedule()
  }

  /** Removes id, unless it is held with another fleet: then the device has moved, and its new state came first. */
  remove({ id, fleet }: Removed): boolean {
    if (this.#assets.get(id)?.fleet !== fleet) return false
    this.#assets.delete(id)
    this.#changed.delete(id)
    this.#removed.add(id)
    this.#schedule()
    return true
  }

  clear(): void {
    if (this.#assets.size === 0 && !this.#reset) {
      this.#changed.clear()
      return
    }
    for (const id of this.#assets.keys()) this.#removed.add(id)
    this.#assets.clear()
    this.#changed.clear()
    this.#reset = true
    this.#schedule()
  }

  /** Notifies now of what changed; `#schedule` calls it once a frame. */
  flush(): void {
    this.#cancel?.()
    this.#cancel = null
    if (this.#changed.size === 0 && this.#removed.size === 0 && !this.#reset) return
    const changes: Changes = { changed: this.#changed, removed: this.#removed, reset: this.#reset }
    this.#changed = new Set()
    this.#removed = new Set()
    this.#reset = false
    this.version++
    for (const notify of [...this.#all]) guard(() => notify(changes))
    if (this.#one.size === 0) return
    for (const ids of [changes.changed, changes.removed]) {
      for (const id of ids) for (const notify of [...(this.#one.get(id) ?? [])]) guard(notify)
    }
  }

  /** Forgets who listens. */
  close(): void {
    this.#cancel?.()
    this.#cancel = null
    this.#all.clear()
    this.#one.clear()
  }

  #schedule(): void {
    this.#cancel ??= nextFrame(() => this.flush())
  }
}

function guard(run: () => void): void {
  try {
    run()
  } catch (error) {
    queueMicrotask(() => { throw error })
  }
}

// Both, whichever is first: a hidden page has no frames, and may become hidden while it waits for one.
function nextFrame(run: () => void): () => void {
  const g = globalThis
  const timer = setTimeout(run, g.document?.hidden === false ? HIDDEN_FRAME : 16)
  const frame = g.requestAnimationFrame?.(run)
  return () => {
    clearTimeout(timer)
    if (frame !== undefined) g.cancelAnimationFrame(frame)
  }
}
