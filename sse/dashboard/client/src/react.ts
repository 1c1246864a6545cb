/** React on top of the client: components that draw what the stream says, at their own pace. */
import { createContext, useCallback, useContext, useEffect, useRef, useState, useSyncExternalStore } from 'react'
import { connect, type Connection, type Options } from './connect.js'
import type { Asset, EventName, Listener, State } from './types.js'

/** Gives a connection to all below: `<FleetContext value={connection}>`. */
export const FleetContext = createContext<Connection | null>(null)

function useGiven(connection: Connection | undefined): Connection {
  const above = useContext(FleetContext)
  const given = connection ?? above
  if (!given) throw new Error('There is no connection: give one, or put FleetContext around.')
  return given
}

/**
 * Opens a connection for as long as the component is there; null until its first effect. It is opened anew where key
 * changes; options are read then.
 */
export function useConnection(options: Options = {}, key = ''): Connection | null {
  const [connection, set] = useState<Connection | null>(null)
  const newest = useRef(options)
  useEffect(() => { newest.current = options })
  useEffect(() => {
    const opened = connect(newest.current)
    set(opened)
    return () => {
      opened.close()
      set(null)
    }
  }, [key])
  return connection
}

export interface Fleet {
  assets: ReadonlyMap<string, Asset>
  /** Other than before where anything changed: for the dependencies of memos. */
  version: number
}

/**
 * All assets. The component draws anew once a frame where anything changes, or every so many ms. The map is the live
 * one, not a copy: a fleet of ten thousand is not copied sixty times a second. A map view should rather subscribe to
 * `connection.store` and leave React out.
 */
export function useFleet(connection?: Connection, every = 0): Fleet {
  const { store } = useGiven(connection)
  const subscribe = useCallback((notify: () => void) => {
    let timer: ReturnType<typeof setTimeout> | undefined
    const end = store.subscribe(() => {
      if (every <= 0) notify()
      else timer ??= setTimeout(() => { timer = undefined; notify() }, every)
    })
    return () => { clearTimeout(timer); end() }
  }, [store, every])
  const version = useSyncExternalStore(subscribe, () => store.version, () => 0)
  return { assets: store.assets, version }
}

/** One asset, or undefined. The component draws anew only where that one changes. */
export function useAsset(id: string, connection?: Connection): Asset | undefined {
  const { store } = useGiven(connection)
  const subscribe = useCallback((notify: () => void) => store.subscribeTo(id, notify), [store, id])
  return useSyncExternalStore(subscribe, () => store.get(id), () => undefined)
}

/** How things stand, in one word. */
export function useStreamState(connection?: Connection): State {
  const given = useGiven(connection)
  const subscribe = useCallback((notify: () => void) => given.on('state', notify), [given])
  return useSyncExternalStore(subscribe, () => given.state, () => 'connecting' as const)
}

/** Calls the newest listener for each event of the name. */
export function useStreamEvent<N extends EventName>(name: N, listener: Listener<N>, connection?: Connection): void {
  const given = useGiven(connection)
  const newest = useRef(listener)
  useEffect(() => { newest.current = listener })
  useEffect(() => given.on(name, data => newest.current(data)), [given, name])
}
