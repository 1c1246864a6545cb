/** The client of a Fleetcast gateway: one live stream of a fleet, kept right. */
export { connect, Connection, type Options } from './connect.js'
export { AssetStore, type Changes, type Notify } from './store.js'
export { Parser, type Message } from './parse.js'
export type { Platform } from './platform.js'
export type {
  Alert, Asset, Command, EventName, Events, Heartbeat, Listener, Ready, Removed, Reset, State, View,
} from './types.js'
