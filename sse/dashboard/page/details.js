// The card of the selected asset: everything that the stream says about it.

import { age, distance, heading, metric, number, position, speed } from './format.js'

export class Details {
  constructor(root, fleet, clock) {
    this.root = root
    this.fleet = fleet
    this.clock = clock
    this.title = root.querySelector('[data-part=title]')
    this.subtitle = root.querySelector('[data-part=subtitle]')
    this.dot = root.querySelector('[data-part=dot]')
    this.facts = root.querySelector('[data-part=facts]')
    this.shown = ''
    this.selected = ''
  }

  select(id) {
    this.selected = id
    this.update()
  }

  // How many pixels of the map the card covers from the bottom up: on a phone it lies across, else at the side.
  covers() {
    const { offsetWidth, offsetHeight, offsetParent } = this.root
    return offsetParent && offsetWidth > offsetParent.clientWidth / 2 ? offsetHeight : 0
  }

  update() {
    const entry = this.fleet.get(this.selected)
    this.root.hidden = !entry
    if (!entry) return
    const { asset, label, status } = entry
    this.title.textContent = label
    this.subtitle.textContent = label === asset.id ? `${asset.fleet} · ${status}` : `${asset.fleet} · ${asset.id} · ${status}`
    this.dot.className = `dot ${status}`
    const facts = factsOf(asset, this.clock.now())
    // Rebuilt only when it changes: a person may be selecting a value to copy it.
    const shown = JSON.stringify(facts)
    if (shown === this.shown) return
    this.shown = shown
    this.facts.replaceChildren(...facts.flatMap(([name, value, kind]) => [term('dt', name, kind), term('dd', value, kind)]))
  }
}

function factsOf(asset, now) {
  const facts = []
  const add = (name, value, show) => {
    if (Number.isFinite(value)) facts.push([name, show(value), ''])
  }
  add('Speed', asset.speed, speed)
  add('Heading', asset.heading, heading)
  if (Number.isFinite(asset.lat) && Number.isFinite(asset.lon)) facts.push(['Position', position(asset.lat, asset.lon), ''])
  add('Accuracy', asset.accuracy, distance)
  add('Altitude', asset.altitude, value => `${number(value)} m`)
  add('Battery', asset.battery, value => `${number(value)} %`)
  add('Last fix', asset.at, at => age(now - at))
  add('Last heard', asset.received, received => age(now - received))
  for (const [name, value] of Object.entries(asset.metrics ?? {})) facts.push([name, metric(value), 'metric'])
  return facts
}

function term(tag, text, kind) {
  const node = document.createElement(tag)
  node.textContent = text
  if (kind) node.className = kind
  return node
}
