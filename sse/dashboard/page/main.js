// Wires the page: the stream feeds the fleet; map, list, card and badge show it. Everything that is drawn is drawn from
// the fleet, so nothing is lost where a part draws less often than the stream sends.

import { Details } from './details.js'
import { Fleet } from './fleet.js'
import { Badge, ServerClock } from './freshness.js'
import { List } from './list.js'
import { MapView } from './mapview.js'
import { loadOutlines } from './outlines.js'
import { SignIn } from './signin.js'
import { AssetStream, CONNECTED } from './stream.js'

const LIST_REFRESH = 500 // ages are in seconds; a list that changes faster cannot be read
const FADE_REFRESH = 5000 // pins fade even where nothing moves

const find = part => document.querySelector(`[data-view=${part}]`)

export const fleet = new Fleet()
const clock = new ServerClock()
const badge = new Badge(find('badge'))
const details = new Details(find('details'), fleet, clock)
const list = new List(find('list'), fleet, clock, {
  select: id => select(id, 'list'),
  filtered: () => map.invalidate(),
})
export const map = new MapView(find('map'), fleet, clock, { select: id => select(id, 'map') })
const empty = find('empty')
const signIn = new SignIn(find('signin'), () => stream.open())

export const stream = new AssetStream('/stream/assets?format=batch', {
  batch(assets) {
    if (!Array.isArray(assets)) return
    const now = performance.now()
    for (const asset of assets) {
      if (fleet.put(asset, now)) clock.witness(asset.received)
    }
    if (stream.state === CONNECTED) map.fitOnce()
    map.invalidate()
  },
  removed({ id, fleet: of }) {
    fleet.remove(id, of)
    map.invalidate()
  },
  reset() {
    fleet.clear()
    map.invalidate()
  },
  ready() {
    map.fitOnce()
  },
  heartbeat({ now, lag_ms: lag }) {
    clock.hear(now)
    badge.setLag(lag)
  },
  refused() {
    signIn.check()
  },
  state(word) {
    document.documentElement.dataset.stream = word
    badge.setState(word)
  },
})

function select(id, from) {
  details.select(id)
  map.select(id, from === 'list', details.covers())
  list.select(id, from === 'map')
}

function refresh() {
  badge.update(stream.lastMessage === null ? null : Date.now() - stream.lastMessage, fleet.size)
  list.update()
  details.update()
  // Only a stream that is up to date can say that there is nothing.
  empty.hidden = fleet.size > 0 || stream.state !== CONNECTED
}

// The line to try names the host of this page, which is the gateway's, unless that is this computer anyway.
function nameHost() {
  const { hostname } = location
  if (!/^[A-Za-z0-9.-]+$/.test(hostname) || /^(localhost|127\..*)$/.test(hostname)) return
  find('empty').querySelector('[data-part=host]').textContent = ` -h ${hostname}`
}

async function copy(event) {
  const line = empty.querySelector('code')
  const button = event.currentTarget
  try {
    await navigator.clipboard.writeText(line.textContent)
    button.textContent = 'Copied'
    setTimeout(() => { button.textContent = 'Copy' }, 2000)
  } catch {
    getSelection().selectAllChildren(line) // no clipboard without https: one key press is left to the reader
  }
}

function searchByKey(event) {
  if (event.key !== '/' || event.target.closest('input')) return
  event.preventDefault()
  list.search.focus()
}

list.start()
map.start()
nameHost()
signIn.start()
empty.querySelector('button').addEventListener('click', copy)
find('zoom').addEventListener('click', event => {
  const act = event.target.closest('button')?.dataset.act
  if (act === 'in') map.zoomBy(1.8)
  if (act === 'out') map.zoomBy(1 / 1.8)
  if (act === 'fit') map.fit()
})
find('details').querySelector('button').addEventListener('click', () => select('', 'card'))
document.addEventListener('keydown', searchByKey)
// A page that the browser keeps for the back button must not hold one of its six connections to the gateway.
addEventListener('pagehide', () => stream.stop())
addEventListener('pageshow', event => { if (event.persisted) stream.start() })

refresh()
setInterval(refresh, LIST_REFRESH)
setInterval(() => map.invalidate(), FADE_REFRESH)
stream.start()
loadOutlines('/outlines.json').then(outlines => {
  map.setOutlines(outlines)
  find('credit').hidden = outlines === null
})
