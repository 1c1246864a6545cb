// What a person has set for this browser.

import { Value } from './store.ts'

export type Theme = 'auto' | 'light' | 'dark'

const KEY = 'fleetcast.'

function load(name: string, fallback: string): string {
  try {
    return localStorage.getItem(KEY + name) ?? fallback
  } catch {
    return fallback // a browser that keeps nothing
  }
}

function keep(name: string, value: string): void {
  try {
    localStorage.setItem(KEY + name, value)
  } catch {
    // it is forgotten with the page
  }
}

const dark = matchMedia('(prefers-color-scheme: dark)')

export const theme = new Value<Theme>(load('theme', 'auto') as Theme)
export const isDark = new Value(false)
export const sound = new Value(load('sound', 'off') === 'on') // of alerts

function applyTheme(): void {
  const wanted = theme.get()
  const now = wanted === 'dark' || (wanted !== 'light' && dark.matches)
  document.documentElement.dataset.theme = now ? 'dark' : 'light'
  isDark.set(now)
}

export function startPrefs(): void {
  dark.addEventListener('change', applyTheme)
  theme.subscribe(() => { keep('theme', theme.get()); applyTheme() })
  sound.subscribe(() => keep('sound', sound.get() ? 'on' : 'off'))
  applyTheme()
}
