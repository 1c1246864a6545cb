// Who looks. An installation that asks wants a sign-in, and for the first admin a sign-up by the link of the first
// start, whose secret stands behind '#', where no server logs it.

import { ApiError, call, get } from './api.ts'
import { Value } from './store.ts'

export type Role = 'viewer' | 'operator' | 'admin'

export interface Session {
  name: string
  role: Role
  fleets?: string[]
  all_fleets?: boolean
  open?: boolean // nobody is asked who they are
  expires?: number
}

export type SessionState = { kind: 'asking' } | { kind: 'out' } | { kind: 'in', session: Session }

const SETUP = '#setup='
const RANK: Record<Role, number> = { viewer: 1, operator: 2, admin: 3 }

export const session = new Value<SessionState>({ kind: 'asking' })
export const setupSecret = new Value('')

// Takes the secret out of the address, where it must not be left.
export function takeSetup(): void {
  if (!location.hash.startsWith(SETUP)) return
  setupSecret.set(location.hash.slice(SETUP.length))
  history.replaceState(null, '', location.pathname + location.search)
  session.set({ kind: 'out' })
}

// Asks who is there. Resolves to false only where the gateway wants somebody to sign in.
export async function checkSession(): Promise<boolean> {
  try {
    session.set({ kind: 'in', session: await get<Session>('/api/session') })
    return true
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) {
      session.set({ kind: 'out' })
      return false
    }
    return true // the gateway is away; the stream goes on trying
  }
}

export async function signIn(name: string, password: string): Promise<void> {
  if (setupSecret.get() !== '') {
    await call('POST', '/api/setup', { setup: setupSecret.get(), name, password })
    setupSecret.set('')
  }
  session.set({ kind: 'in', session: await call<Session>('POST', '/api/session', { name, password }) })
}

export async function signOut(): Promise<void> {
  await call('DELETE', '/api/session')
  session.set({ kind: 'out' })
}

export function may(role: Role): boolean {
  const state = session.get()
  return state.kind === 'in' && RANK[state.session.role] >= RANK[role]
}

// Whether this person may act on every fleet, also on those to come.
export function seesAll(): boolean {
  const state = session.get()
  return state.kind === 'in' && (state.session.all_fleets === true || state.session.open === true)
}
