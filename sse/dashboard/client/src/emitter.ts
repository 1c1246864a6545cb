import type { EventName, Events, Listener } from './types.js'

/** Calls who listens. One listener that throws does not keep the others from hearing. */
export class Emitter {
  readonly #listeners = new Map<EventName, Set<(data: never) => void>>()

  /** Returns what ends it. */
  on<N extends EventName>(name: N, listener: Listener<N>): () => void {
    let set = this.#listeners.get(name)
    if (!set) this.#listeners.set(name, (set = new Set()))
    const own: Listener<N> = data => listener(data) // so that one function may listen twice
    set.add(own)
    return () => { set.delete(own) }
  }

  emit<N extends EventName>(name: N, data: Events[N]): void {
    for (const listener of this.#listeners.get(name) ?? []) {
      try {
        ;(listener as Listener<N>)(data)
      } catch (error) {
        // Reported as the browser reports what nobody caught, and not swallowed.
        queueMicrotask(() => { throw error })
      }
    }
  }
}
