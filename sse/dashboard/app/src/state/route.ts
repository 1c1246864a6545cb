// Where the person is: what stands behind '#'. "#/alerts", "#/asset/truck-17".

import { Value } from './store.ts'

export interface Route { name: string, arg: string }

export function parseRoute(hash: string): Route {
  const [name = '', ...rest] = hash.replace(/^#\/?/, '').split('/')
  let arg = rest.join('/')
  try {
    arg = decodeURIComponent(arg)
  } catch {
    arg = ''
  }
  return { name: name === '' ? 'map' : name, arg }
}

export function hrefOf(name: string, arg = ''): string {
  if (name === 'map' && arg === '') return '#/'
  return arg === '' ? `#/${name}` : `#/${name}/${encodeURIComponent(arg)}`
}

export const route = new Value<Route>({ name: 'map', arg: '' })

export function startRouting(): void {
  const read = () => {
    const next = parseRoute(location.hash)
    const { name, arg } = route.get()
    if (next.name !== name || next.arg !== arg) route.set(next)
  }
  addEventListener('hashchange', read)
  read()
}

export function go(name: string, arg = ''): void {
  const href = hrefOf(name, arg)
  if (location.hash !== href) location.hash = href
}
