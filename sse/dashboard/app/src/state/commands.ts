// What devices were told to do, as far as the page has seen it: the newest state of each command by id.

import { get, isAbsent } from './api.ts'
import { Signal } from './store.ts'

export type CommandState = 'accepted' | 'sent' | 'delivered' | 'done' | 'failed' | 'expired'

export interface Command {
  id: string
  device: string
  fleet: string
  name: string
  params?: unknown
  state: CommandState
  at: number
  accepted: number
  expires: number
  by?: string
  result?: unknown
  error?: string
}

const MAX_COMMANDS = 500

export class Commands extends Signal {
  readonly byId = new Map<string, Command>()
  available = false

  async load(device: string): Promise<void> {
    try {
      const { commands } = await get<{ commands: Command[] }>(`/api/devices/${encodeURIComponent(device)}/commands?limit=20`)
      this.available = true
      for (const command of commands) this.take(command)
      this.emit()
    } catch (error) {
      if (!isAbsent(error)) console.warn('The commands could not be read.', error)
    }
  }

  step(data: unknown): void {
    const command = data as Command
    if (typeof command.id !== 'string' || typeof command.device !== 'string') return
    this.available = true
    if (this.take(command)) this.emit()
  }

  // Newest first.
  of(device: string): Command[] {
    return [...this.byId.values()].filter(c => c.device === device).sort((a, b) => b.accepted - a.accepted)
  }

  private take(command: Command): boolean {
    const held = this.byId.get(command.id)
    if (held && held.at > command.at) return false
    this.byId.delete(command.id)
    this.byId.set(command.id, command)
    if (this.byId.size > MAX_COMMANDS) this.byId.delete(this.byId.keys().next().value!)
    return true
  }
}
