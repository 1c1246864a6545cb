// Every word that the page says, in one place. A text with parts is a function.

import { acting } from './acting/words.ts'

export const m = {
  acting,
  product: 'Fleetcast',
  nav: { main: 'Main', docs: 'API documentation', map: 'Map', alerts: 'Alerts', menu: 'Account and settings' },
  theme: { title: 'Appearance', auto: 'Automatic', light: 'Light', dark: 'Dark' },
  status: { online: 'Online', offline: 'Offline', unknown: 'Unknown' },
  severity: { info: 'Info', warning: 'Warning', critical: 'Critical' },
  freshness: {
    connecting: 'Connecting', 'catching-up': 'Catching up', live: 'Live', stale: 'Late', offline: 'Reconnecting', 'signed-out': 'Signed out', paused: 'Paused', closed: 'Closed',
    lag: (lag: string) => `${lag} behind`,
    last: (age: string) => `data ${age} old`,
    never: 'no data yet',
    lost: (age: string) => `The connection is lost. What you see is ${age} old; the page goes on trying.`,
    behind: (age: string) => `The gateway is ${age} behind its devices.`,
  },
  board: {
    title: 'Assets', search: 'Search name, id or fleet', searchLabel: 'Search assets by name, id or fleet', clear: 'Clear the search',
    all: 'All', allFleets: 'All fleets', fleet: 'Fleet', sort: 'Sort by', byName: 'Name', byHeard: 'Last heard', bySpeed: 'Speed', byAlert: 'Alerts first', byBattery: 'Battery',
    nothing: 'No asset matches.', reset: 'Show all', noPosition: 'no position', statusFilter: 'Filter by status',
    shown: (shown: string, all: string) => all === '1' && shown === all ? '1 asset' : shown === all ? `${all} assets` : `${shown} of ${all} assets`,
    kmh: 'km/h', near: 'in and around the window', nearby: (n: string) => `${n} nearby`,
  },
  details: {
    close: 'Close', follow: 'Follow', following: 'Following', locate: 'Show on the map', copyId: 'Copy the id',
    speed: 'Speed', heading: 'Heading', altitude: 'Altitude', battery: 'Battery', position: 'Position', accuracy: 'Accuracy', fix: 'Last fix', heard: 'Last heard', fleet: 'Fleet', id: 'Id',
    ago: (age: string) => age === 'now' ? 'now' : `${age} ago`,
    metrics: 'Metrics', chart: 'Charts of', noHistory: (name: string) => `${name}: nothing new since the page was opened.`, historyOf: (samples: string, span: string) => `${samples} samples over ${span}, since the page was opened`,
    trail: 'Trail', commands: 'Commands', alerts: 'Alerts', noTrail: 'No trail yet',
    trailOf: (points: string, span: string) => `${points} places over ${span}`,
    old: (age: string) => `This is where it was ${age} ago. Nothing has been heard of it since.`,
    oldFix: (age: string) => `It speaks, but its place is ${age} old.`,
    seeking: 'It is outside of the window. Going there…',
    gone: 'This asset is not here. It may have been removed, or it is of a fleet that you do not see.',
    noCommands: 'None so far', noAlerts: 'None', since: (when: string) => `since ${when}`,
  },
  command: { accepted: 'Accepted', sent: 'Sent', delivered: 'Delivered', done: 'Done', failed: 'Failed', expired: 'Expired' },
  alerts: {
    title: 'Alerts', open: 'Open', all: 'All', acknowledged: 'Acknowledged', cleared: 'Cleared', raised: 'Raised',
    acknowledge: 'Acknowledge', acknowledgeAll: 'Acknowledge all', by: (who: string) => `by ${who}`,
    none: 'Nothing needs you', noneText: 'Alerts appear here the moment a rule holds.', noneMatch: 'No alert matches.',
    soundOn: 'Sound is on', soundOff: 'Sound is off', unavailable: 'This gateway has no alerts.',
    failed: 'It was not acknowledged.', filter: 'Filter alerts', severity: 'Severity', announce: (name: string, device: string) => `Alert: ${name}, ${device}`,
    count: (n: string) => `${n} unacknowledged alerts`,
  },
  map: {
    label: 'Map of the assets. Arrow keys move it, plus and minus zoom. The list holds the same assets.',
    in: 'Zoom in', out: 'Zoom out', fit: 'Show all assets', outlines: 'Outlines: Natural Earth', noStreets: 'Outlines only. A street map of yours: --map-style', noGl: 'This browser cannot draw the map.', simple: 'Open the simple page',
  },
  signIn: {
    title: 'Sign in', lead: 'to see your fleet', setup: 'Set up the first admin', setupLead: 'This link works once. Choose who runs this installation.',
    name: 'Name', password: 'Password', enter: 'Sign in', create: 'Create and sign in', hint: 'At least 12 characters.', out: 'Sign out', as: (name: string) => `Signed in as ${name}`, open: 'Open mode: nobody is asked who they are',
    role: { viewer: 'Viewer', operator: 'Operator', admin: 'Admin' },
  },
  empty: {
    title: 'No devices yet', lead: 'The gateway runs and listens. Publish a first position from any MQTT client, and it appears here:', copy: 'Copy', copied: 'Copied',
    demo: 'Only looking? Run it with a demo fleet:', phone: 'A phone works too: the OwnTracks app, in MQTT mode, with this host and port 1883.',
  },
  unavailable: 'Not available here',
} as const
