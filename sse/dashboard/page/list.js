// The list of assets. Only the rows in view exist: thousands of rows in the document would cost more than the map.
// Every text from the stream becomes a text node; nothing here parses HTML.

import { age, number, speed } from './format.js'
import { freshnessOf } from './freshness.js'

export const ROW_HEIGHT = 52 // as in style.css
const SPARE_ROWS = 4 // above and below the view, so that scrolling shows no gaps
const STALE = 0.999 // below this freshness a row is written as old

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' })

export class List {
  // on: {select(id), filtered()}.
  constructor(root, fleet, clock, on) {
    this.fleet = fleet
    this.clock = clock
    this.on = on
    this.search = root.querySelector('[data-part=search]')
    this.view = root.querySelector('[data-part=rows]')
    this.sheet = root.querySelector('[data-part=sheet]')
    this.nothing = root.querySelector('[data-part=nothing]')
    this.chips = [...root.querySelectorAll('[data-status]')]
    this.words = ''
    this.status = 'all'
    this.order = [] // what the filter leaves, sorted by name
    this.seen = -1 // the fleet's membership that order was made of
    this.rows = []
    this.selected = ''
  }

  start() {
    this.search.addEventListener('input', () => this.filter(this.search.value, this.status))
    for (const chip of this.chips) {
      chip.addEventListener('click', () => this.filter(this.words, chip.dataset.status))
    }
    this.view.addEventListener('scroll', () => this.draw(), { passive: true })
    this.view.addEventListener('keydown', event => this.key(event))
    this.sheet.addEventListener('click', event => {
      const row = event.target.closest('.row')
      if (row) this.on.select(row.dataset.id)
    })
    new ResizeObserver(() => this.draw()).observe(this.view)
  }

  filter(words, status) {
    this.words = words
    this.status = status
    for (const chip of this.chips) chip.setAttribute('aria-pressed', String(chip.dataset.status === status))
    this.view.scrollTop = 0
    this.seen = -1
    this.update()
  }

  select(id, bring) {
    this.selected = id
    if (bring) this.bringIntoView(id)
    this.draw()
  }

  // Sorts again if assets came, went or were renamed, and draws.
  update() {
    if (this.seen !== this.fleet.membership) {
      this.seen = this.fleet.membership
      this.sort()
      this.on.filtered()
    }
    const { counts, size } = this.fleet
    for (const chip of this.chips) {
      const count = chip.dataset.status === 'all' ? size : counts[chip.dataset.status]
      setText(chip.querySelector('b'), number(count))
    }
    this.draw()
  }

  sort() {
    const words = this.words.toLowerCase().split(/\s+/).filter(Boolean)
    this.order = []
    for (const entry of this.fleet.values()) {
      entry.match = (this.status === 'all' || entry.status === this.status) && words.every(word => entry.search.includes(word))
      if (entry.match) this.order.push(entry)
    }
    this.order.sort((a, b) => collator.compare(a.label, b.label) || (a.id < b.id ? -1 : 1))
    this.sheet.style.height = `${this.order.length * ROW_HEIGHT}px`
    this.nothing.hidden = this.order.length > 0 || this.fleet.size === 0
  }

  draw() {
    const first = Math.max(0, Math.floor(this.view.scrollTop / ROW_HEIGHT) - SPARE_ROWS)
    const last = Math.min(this.order.length, Math.ceil((this.view.scrollTop + this.view.clientHeight) / ROW_HEIGHT) + SPARE_ROWS)
    const count = Math.max(0, last - first)
    while (this.rows.length < count) this.rows.push(this.addRow())
    const now = this.clock.now()
    this.rows.forEach((row, i) => {
      row.root.hidden = i >= count
      if (i < count) this.fill(row, first + i, now)
    })
    const active = this.rows.find(row => !row.root.hidden && row.root.dataset.id === this.selected)
    if (active) this.view.setAttribute('aria-activedescendant', active.root.id)
    else this.view.removeAttribute('aria-activedescendant')
  }

  addRow() {
    const root = element('div', 'row')
    root.id = `row-${this.rows.length}`
    root.setAttribute('role', 'option')
    const row = {
      root, dot: element('span', 'dot'), label: element('span', 'label'), fleet: element('span', 'fleet'),
      speed: element('span', 'speed'), age: element('span', 'age'),
    }
    root.append(row.dot, row.label, row.fleet, row.speed, row.age)
    this.sheet.append(root)
    return row
  }

  fill(row, index, now) {
    const { id, label, status, asset } = this.order[index]
    const { root } = row
    root.style.transform = `translateY(${index * ROW_HEIGHT}px)`
    if (root.dataset.id !== id) root.dataset.id = id
    root.setAttribute('aria-selected', String(id === this.selected))
    root.setAttribute('aria-posinset', String(index + 1))
    root.setAttribute('aria-setsize', String(this.order.length))
    row.dot.className = `dot ${status}`
    row.dot.title = status
    setText(row.label, label)
    setText(row.fleet, label === asset.id ? asset.fleet : `${asset.fleet} · ${asset.id}`)
    // The last speed of what is offline is not its speed.
    setText(row.speed, Number.isFinite(asset.speed) && status !== 'offline' ? speed(asset.speed) : '')
    setText(row.age, Number.isFinite(asset.lat) ? age(now - (asset.at ?? asset.received)) : 'no position')
    root.classList.toggle('stale', freshnessOf(now - asset.received) < STALE)
  }

  key(event) {
    const at = this.order.findIndex(entry => entry.id === this.selected)
    const page = Math.max(1, Math.floor(this.view.clientHeight / ROW_HEIGHT) - 1)
    const target = {
      ArrowDown: at + 1, ArrowUp: at < 0 ? 0 : at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: this.order.length - 1,
    }[event.key]
    if (event.key === 'Escape') this.on.select('')
    if (target === undefined || this.order.length === 0) return
    event.preventDefault()
    this.on.select(this.order[Math.max(0, Math.min(this.order.length - 1, target))].id)
    this.bringIntoView(this.selected)
  }

  bringIntoView(id) {
    const index = this.order.findIndex(entry => entry.id === id)
    if (index < 0) return
    const top = index * ROW_HEIGHT
    const { scrollTop, clientHeight } = this.view
    if (top < scrollTop) this.view.scrollTop = top
    if (top + ROW_HEIGHT > scrollTop + clientHeight) this.view.scrollTop = top + ROW_HEIGHT - clientHeight
    this.draw()
  }
}

function element(tag, className) {
  const node = document.createElement(tag)
  node.className = className
  return node
}

// Writing a text that is there already would still make the browser lay out the row.
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text
}
