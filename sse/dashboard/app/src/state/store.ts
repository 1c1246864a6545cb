// The one way in which React hears of what is kept outside of it: a counter that grows, and those who want to know.

import { useSyncExternalStore } from 'react'

export class Signal {
  private listeners = new Set<() => void>()
  private count = 0

  emit(): void {
    this.count++
    for (const listener of [...this.listeners]) listener()
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener)
    return () => { this.listeners.delete(listener) }
  }

  version = (): number => this.count
}

// Renders again when any of the signals has been emitted.
export function useSignal(signal: Signal): number {
  return useSyncExternalStore(signal.subscribe, signal.version)
}

// A value that components and others share.
export class Value<T> extends Signal {
  constructor(private current: T) { super() }

  get(): T { return this.current }

  set(next: T): void {
    if (Object.is(next, this.current)) return
    this.current = next
    this.emit()
  }

  read = (): T => this.current
}

export function useValue<T>(value: Value<T>): T {
  return useSyncExternalStore(value.subscribe, value.read)
}
