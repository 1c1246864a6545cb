// How fresh what is shown is.

const REMEMBERED = 8

/**
 * Follows the gateway's clock by its heartbeats. One that was held up on its way makes the gateway look behind, never
 * ahead, so the largest of the recent differences is the best.
 */
export class ServerClock {
  #offsets: number[] = []
  #offset = 0

  hear(serverNow: number): void {
    if (!Number.isFinite(serverNow)) return
    this.#offsets.push(serverNow - Date.now())
    if (this.#offsets.length > REMEMBERED) this.#offsets.shift()
    this.#offset = Math.max(...this.#offsets)
  }

  /** A time that the gateway stamped on what has arrived: its clock is not behind that. */
  witness(serverTime: number): void {
    this.#offset = Math.max(this.#offset, serverTime - Date.now()) || this.#offset
  }

  now(): number {
    return Date.now() + this.#offset
  }
}

/** Waits that grow and are spread, so that a thousand pages do not come back at one moment. */
export class Backoff {
  #failures = 0
  readonly #random: () => number
  readonly #first: number
  readonly #most: number

  constructor(random: () => number, first: number, most: number) {
    this.#random = random
    this.#first = first
    this.#most = most
  }

  /** The next wait, ms; at least what the gateway asked for. */
  next(atLeast = 0): number {
    const wait = Math.min(this.#most, this.#first * 2 ** Math.min(this.#failures++, 20))
    const spread = wait * (0.5 + this.#random() / 2)
    return atLeast > 0 ? Math.max(spread, atLeast * (1 + this.#random() / 4)) : spread
  }

  reset(): void {
    this.#failures = 0
  }
}
