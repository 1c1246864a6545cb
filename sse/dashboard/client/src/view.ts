import type { View } from './types.js'

const NAMES = ['fleet', 'device', 'bbox', 'fields', 'every'] as const

/** The URL of a stream with the view in its query. Parameters of the URL that a view may set are replaced by it. */
export function withView(url: string, view: View): string {
  const [path, query] = cut(url)
  const values = new URLSearchParams(query)
  for (const name of NAMES) values.delete(name)
  for (const fleet of view.fleets ?? []) values.append('fleet', fleet)
  for (const device of view.devices ?? []) values.append('device', device)
  if (view.bbox) values.set('bbox', view.bbox.join(','))
  if (view.fields?.length) values.set('fields', view.fields.join(','))
  if (view.every) values.set('every', String(view.every))
  return join(path, values)
}

/** The view that a URL's query asks for. */
export function viewOf(url: string): View {
  const values = new URLSearchParams(cut(url)[1])
  const view: View = {}
  if (values.has('fleet')) view.fleets = values.getAll('fleet')
  if (values.has('device')) view.devices = values.getAll('device')
  const box = values.get('bbox')?.split(',').map(Number)
  if (box?.length === 4) view.bbox = box as unknown as [number, number, number, number]
  const fields = values.get('fields')
  if (fields) view.fields = fields.split(',')
  const every = Number(values.get('every'))
  if (every) view.every = every
  return view
}

/** url with one more parameter. */
export function withParameter(url: string, name: string, value: string): string {
  const [path, query] = cut(url)
  const values = new URLSearchParams(query)
  values.set(name, value)
  return join(path, values)
}

function cut(url: string): [path: string, query: string] {
  const at = url.indexOf('?')
  return at < 0 ? [url, ''] : [url.slice(0, at), url.slice(at + 1)]
}

function join(path: string, values: URLSearchParams): string {
  const query = values.toString()
  return query === '' ? path : `${path}?${query}`
}

/** A text that is equal for views that ask for the same. */
export function keyOf(view: View): string {
  const { fleets, devices, bbox, fields, every } = view
  return JSON.stringify([sorted(fleets), sorted(devices), bbox ?? null, sorted(fields), every ?? 0])
}

function sorted(list: readonly string[] | undefined): readonly string[] | null {
  return list?.length ? [...new Set(list)].sort() : null
}

/** What a PUT of the view says. */
export function bodyOf(view: View, seq: number): string {
  const { fleets, devices, bbox, fields, every } = view
  return JSON.stringify({
    seq,
    // null and not absent: what is absent is as in the stream's URL.
    bbox: bbox ?? null,
    fleets: fleets?.length ? fleets : null,
    devices: devices?.length ? devices : null,
    fields: fields?.length ? fields : null,
    every: every || null,
  })
}

/** The smallest view that shows what each of the views shows: tabs that share a stream all get what they asked for. */
export function union(views: readonly View[]): View {
  const [first, ...rest] = views
  if (!first) return {}
  return rest.reduce(join2, first)
}

function join2(a: View, b: View): View {
  const view: View = {}
  const every = Math.min(a.every ?? 0, b.every ?? 0)
  if (every > 0) view.every = every
  const fields = joinLists(a.fields, b.fields)
  if (fields) view.fields = fields
  // Fleets, devices and box narrow together, so where two of them differ the union of each alone may lose nothing but
  // may show more, which is allowed.
  const fleets = joinLists(a.fleets, b.fleets)
  if (fleets) view.fleets = fleets
  const devices = joinLists(a.devices, b.devices)
  if (devices) view.devices = devices
  if (a.bbox && b.bbox) {
    const box = joinBoxes(a.bbox, b.bbox)
    if (box) view.bbox = box
  }
  return view
}

function joinLists(a: readonly string[] | undefined, b: readonly string[] | undefined): string[] | undefined {
  return a?.length && b?.length ? [...new Set([...a, ...b])] : undefined
}

type Box = readonly [number, number, number, number]

function joinBoxes(a: Box, b: Box): Box | undefined {
  const south = Math.min(a[1], b[1])
  const north = Math.max(a[3], b[3])
  const width = (box: Box) => (box[2] - box[0] + 360) % 360 || (box[2] === box[0] ? 0 : 360)
  // From the west edge of one, how far east the other ends: the shorter way around wins.
  const span = (from: Box, to: Box) => Math.max(width(from), ((to[0] - from[0] + 360) % 360) + width(to))
  const [west, east] = span(a, b) <= span(b, a) ? [a[0], span(a, b)] : [b[0], span(b, a)]
  if (east >= 360) return [-180, south, 180, north]
  const end = west + east
  return [west, south, end > 180 ? end - 360 : end, north]
}
