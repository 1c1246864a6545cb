// How old is old. Ages are taken from the gateway's clock, which the connection knows.

// A device that was heard of within FRESH looks alive; one that was not looks old from OLD on.
export const FRESH = 60_000
export const OLD = 600_000

export interface Clock { now(): number }

// 0 for what is fresh, up to 1 for what is old.
export function staleness(ageMs: number): number {
  return Math.max(0, Math.min(1, (ageMs - FRESH) / (OLD - FRESH)))
}
