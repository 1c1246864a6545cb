// Mouse, touch, pen and keyboard on the map, as a few verbs:
// {pan(dx, dy), zoom(factor, x, y), fit(), tap(x, y, pointerType), hover(x, y) with null for gone, escape()}.

const TAP_SLOP = 5 // pixels that a finger may slip and still tap
const WHEEL_STEP = 0.0018
const PINCH_STEP = 0.01 // trackpads send a pinch as a wheel with ctrl
const LINE = 16 // pixels of a line, for wheels that count lines
const KEY_PAN = 80
const KEY_ZOOM = 1.6

export function watchGestures(element, on) {
  watchPointers(element, on)
  element.addEventListener('wheel', event => {
    event.preventDefault()
    const pixels = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE : 1)
    on.zoom(Math.exp(-pixels * (event.ctrlKey ? PINCH_STEP : WHEEL_STEP)), event.offsetX, event.offsetY)
  }, { passive: false })
  element.addEventListener('dblclick', event => on.zoom(KEY_ZOOM, event.offsetX, event.offsetY))
  element.addEventListener('keydown', event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return
    const act = keys(on)[event.key]
    if (!act) return
    event.preventDefault()
    act()
  })
}

function keys(on) {
  const closer = () => on.zoom(KEY_ZOOM)
  const farther = () => on.zoom(1 / KEY_ZOOM)
  return {
    ArrowLeft: () => on.pan(KEY_PAN, 0),
    ArrowRight: () => on.pan(-KEY_PAN, 0),
    ArrowUp: () => on.pan(0, KEY_PAN),
    ArrowDown: () => on.pan(0, -KEY_PAN),
    '+': closer, '=': closer, '-': farther, _: farther,
    0: on.fit, Home: on.fit, Escape: on.escape,
  }
}

function watchPointers(element, on) {
  const held = new Map() // pointer id → where it is
  let slipped = 0

  element.addEventListener('pointerdown', event => {
    if (event.pointerType === 'mouse' && event.button !== 0) return
    element.setPointerCapture(event.pointerId)
    held.set(event.pointerId, at(event))
    slipped = held.size > 1 ? Infinity : 0 // two fingers are no tap
  })

  element.addEventListener('pointermove', event => {
    const before = held.get(event.pointerId)
    if (!before) {
      if (event.pointerType === 'mouse') on.hover(event.offsetX, event.offsetY)
      return
    }
    const now = at(event)
    slipped += Math.hypot(now.x - before.x, now.y - before.y)
    if (held.size === 1 && slipped > TAP_SLOP) on.pan(now.x - before.x, now.y - before.y)
    if (held.size === 2) pinch(held, event.pointerId, now, on)
    held.set(event.pointerId, now)
  })

  const release = event => {
    if (!held.delete(event.pointerId)) return
    if (event.type === 'pointerup' && slipped <= TAP_SLOP) on.tap(event.offsetX, event.offsetY, event.pointerType)
  }
  element.addEventListener('pointerup', release)
  element.addEventListener('pointercancel', release)
  element.addEventListener('pointerleave', () => on.hover(null, null))
}

// One of two fingers has moved: what was between them stays between them.
function pinch(held, movedId, now, on) {
  let other = null
  for (const [id, place] of held) {
    if (id !== movedId) other = place
  }
  const before = held.get(movedId)
  const was = Math.hypot(before.x - other.x, before.y - other.y)
  const is = Math.hypot(now.x - other.x, now.y - other.y)
  on.pan((now.x - before.x) / 2, (now.y - before.y) / 2)
  if (was > 0 && is > 0) on.zoom(is / was, (now.x + other.x) / 2, (now.y + other.y) / 2)
}

function at(event) {
  return { x: event.offsetX, y: event.offsetY }
}
