// The server's clock as far as the page knows it, by its heartbeats. A heartbeat that was held up on its way makes the
// server look behind, never ahead, so the largest of the recent differences is the best.

const REMEMBERED = 8

// A device that was heard of within FRESH looks alive; one that was not looks old from OLD on.
export const FRESH = 60_000
export const OLD = 600_000

export class ServerClock {
  private offsets: number[] = []
  private offset = 0

  hear(serverNow: unknown, localNow = Date.now()): void {
    if (typeof serverNow !== 'number' || !Number.isFinite(serverNow)) return
    this.offsets.push(serverNow - localNow)
    if (this.offsets.length > REMEMBERED) this.offsets.shift()
    this.offset = Math.max(...this.offsets)
  }

  // A time that the server stamped on something that has arrived: its clock is not behind that. It keeps ages from being
  // negative before the first heartbeat.
  witness(serverTime: number): void {
    if (serverTime - Date.now() > this.offset) this.offset = serverTime - Date.now()
  }

  now(): number { return Date.now() + this.offset }
}

// 0 for what is fresh, up to 1 for what is old.
export function staleness(ageMs: number): number {
  return Math.max(0, Math.min(1, (ageMs - FRESH) / (OLD - FRESH)))
}
