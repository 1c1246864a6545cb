// The page at /api/docs: it reads /api/openapi.json and shows it. Every text of the document goes in as text, never as
// markup; scripts, styles and requests are this server's own, as the page's policy says.
'use strict'

const methods = ['get', 'post', 'put', 'patch', 'delete']
let spec

const byId = (id) => document.getElementById(id)

// h makes an element: h('p', {class: 'x'}, 'text', otherElement).
function h(name, attributes, ...children) {
  const element = document.createElement(name)
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value !== undefined && value !== false) element.setAttribute(key, value === true ? '' : value)
  }
  element.append(...children.flat().filter((c) => c !== undefined && c !== null))
  return element
}

// resolve follows a reference within the document.
function resolve(node) {
  for (let hops = 0; node?.$ref && hops < 8; hops++) {
    node = node.$ref.slice(2).split('/').reduce((at, key) => at?.[key.replaceAll('~1', '/').replaceAll('~0', '~')], spec)
  }
  return node ?? {}
}

const nameOf = (node) => node?.$ref?.split('/').pop()

// inline shows `code` and plain text.
function inline(text) {
  return text.split('`').map((part, i) => (i % 2 ? h('code', {}, part) : part))
}

function row(line, cell) {
  return h('tr', {}, line.replace(/^\||\|$/g, '').split('|').map((c) => h(cell, {}, inline(c.trim()))))
}

// prose shows the little of Markdown that descriptions use: paragraphs, lists, tables, code.
function prose(text) {
  if (!text) return []
  return text.trim().split(/\n\s*\n/).map((block) => {
    const lines = block.split('\n')
    if (lines[0].startsWith('|')) {
      const rows = lines.filter((l) => !/^\|[-| ]+\|$/.test(l))
      return h('table', {}, h('thead', {}, row(rows[0], 'th')), h('tbody', {}, rows.slice(1).map((l) => row(l, 'td'))))
    }
    if (lines[0].startsWith('- ')) {
      const items = block.replace(/\n {2,}/g, ' ').split('\n')
      return h('ul', {}, items.map((l) => h('li', {}, inline(l.slice(2)))))
    }
    return h('p', {}, inline(block.replaceAll('\n', ' ')))
  })
}

function typeOf(schema) {
  const s = resolve(schema)
  if ('const' in s) return JSON.stringify(s.const)
  if (s.anyOf ?? s.oneOf) return (s.anyOf ?? s.oneOf).map((each) => nameOf(each) ?? typeOf(each)).join(' or ')
  const type = [s.type ?? 'any'].flat().join(' or ')
  const bounds = []
  if (s.minimum !== undefined || s.maximum !== undefined) bounds.push(`${s.minimum ?? ''}…${s.maximum ?? ''}`)
  if (s.maxLength !== undefined) bounds.push(`at most ${s.maxLength} characters`)
  if (s.maxItems !== undefined) bounds.push(`at most ${s.maxItems}`)
  if (s.default !== undefined) bounds.push(`default ${JSON.stringify(s.default)}`)
  if (s.enum) return s.enum.join(' | ') + (s.default !== undefined ? `, default ${s.default}` : '')
  if (s.type === 'array') return `array of ${nameOf(s.items) ?? typeOf(s.items)}${bounds.length ? ', ' + bounds.join(', ') : ''}`
  return [type, ...bounds].join(', ')
}

// members shows the members of an object as a tree; what is nested opens on demand.
function members(schema, depth = 0) {
  const s = resolve(schema)
  const choices = s.anyOf ?? s.oneOf
  if (choices) return choices.map((each) => h('div', {}, h('p', { class: 'role' }, nameOf(each) ?? 'or'), members(each, depth)))
  if ([s.type].flat().includes('array')) return members(s.items, depth)
  if (!s.properties || depth > 6) return []
  return [h('ul', { class: 'schema' }, Object.entries(s.properties).map(([name, p]) => {
    const sub = members(p, depth + 1)
    const head = [
      h('code', { class: s.required?.includes(name) ? 'required' : undefined }, name), ' ',
      h('span', { class: 'type' }, typeOf(p)), ' ', ...inline(p.description ?? resolve(p).description ?? ''),
    ]
    return h('li', {}, sub.length ? h('details', {}, h('summary', {}, head), sub) : head)
  }))]
}

const show = (value) => (typeof value === 'string' ? value : JSON.stringify(value, null, 2))

function exampleOf(media) {
  if (media.example !== undefined) return media.example
  return Object.values(media.examples ?? {})[0]?.value
}

function content(of) {
  return Object.entries(of ?? {}).map(([type, media]) => {
    const example = exampleOf(media)
    return h('div', {}, h('p', { class: 'role' }, h('code', {}, type), media.schema ? ` ${nameOf(media.schema) ?? typeOf(media.schema)}` : ''),
      members(media.schema), example !== undefined ? h('pre', { tabindex: '0' }, show(example)) : undefined)
  })
}

function parametersTable(parameters) {
  if (!parameters.length) return []
  return [h('h3', {}, 'Parameters'), h('table', {},
    h('thead', {}, h('tr', {}, ['Name', 'In', 'Type', ''].map((t) => h('th', {}, t)))),
    h('tbody', {}, parameters.map((p) => h('tr', {},
      h('td', {}, h('code', { class: p.required ? 'required' : undefined }, p.name)), h('td', {}, p.in),
      h('td', {}, typeOf(p.schema)), h('td', {}, inline(p.description ?? resolve(p.schema).description ?? ''))))))]
}

function responses(of) {
  return [h('h3', {}, 'Answers'), ...Object.entries(of).map(([status, node]) => {
    const r = resolve(node)
    const headers = Object.keys(r.headers ?? {})
    return h('details', {}, h('summary', {}, h('code', {}, status), ' ', r.description),
      headers.length ? h('p', { class: 'role' }, 'Headers: ', headers.join(', ')) : undefined, content(r.content))
  })]
}

function needs(operation) {
  const role = operation['x-role']
  if (!role) return 'Everybody may.'
  return `Needs the role ${role}${operation['x-all-fleets'] ? ', for all fleets' : ''}.`
}

// urlOf is the request that the form describes.
function urlOf(path, fields) {
  const query = new URLSearchParams()
  const headers = {}
  for (const { parameter, input } of fields) {
    if (!input.value) continue
    if (parameter.in === 'path') path = path.replace(`{${parameter.name}}`, encodeURIComponent(input.value))
    if (parameter.in === 'header') headers[parameter.name] = input.value
    if (parameter.in === 'query') {
      const values = resolve(parameter.schema).type === 'array' ? input.value.split(',') : [input.value]
      for (const value of values) query.append(parameter.name, value)
    }
  }
  return { url: query.size ? `${path}?${query}` : path, headers }
}

// firstPart reads an answer, of a stream only what comes within three seconds.
async function firstPart(answer, abort) {
  const isStream = answer.headers.get('Content-Type')?.startsWith('text/event-stream')
  if (!isStream) return answer.text()
  const end = setTimeout(() => abort.abort(), 3000)
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done || text.length > 20000) return text
      text += value
    }
  } catch {
    return text + '\n… (after three seconds)'
  } finally {
    clearTimeout(end)
    abort.abort()
  }
}

async function send(method, path, fields, body, type, out) {
  const { url, headers } = urlOf(path, fields)
  const abort = new AbortController()
  if (byId('token').value) headers.Authorization = `Bearer ${byId('token').value}`
  if (body?.value) headers['Content-Type'] = type
  out.hidden = false
  out.textContent = `${method.toUpperCase()} ${url} …`
  try {
    const answer = await fetch(url, { method: method.toUpperCase(), headers, body: body?.value || undefined, signal: abort.signal })
    let text = await firstPart(answer, abort)
    try { text = JSON.stringify(JSON.parse(text), null, 2) } catch { /* it is no JSON */ }
    const head = ['location', 'etag', 'retry-after'].filter((n) => answer.headers.has(n)).map((n) => `${n}: ${answer.headers.get(n)}\n`)
    out.textContent = `${method.toUpperCase()} ${url}\n${answer.status} ${answer.statusText}\n${head.join('')}\n${text.slice(0, 50000)}`
  } catch (error) {
    out.textContent = `${method.toUpperCase()} ${url}\n${error}`
  }
}

function tryIt(method, path, parameters, operation) {
  const fields = parameters.map((parameter) => ({ parameter, input: h('input', { placeholder: String(parameter.example ?? '') }) }))
  const [type, media] = Object.entries(operation.requestBody?.content ?? {})[0] ?? []
  const body = type ? h('textarea', { spellcheck: 'false' }) : undefined
  if (body && exampleOf(media) !== undefined) body.value = show(exampleOf(media))
  const out = h('pre', { hidden: true, tabindex: '0', 'aria-live': 'polite' })
  const button = h('button', { type: 'button' }, 'Send')
  button.addEventListener('click', () => send(method, path, fields, body, type === '*/*' ? 'application/octet-stream' : type, out))
  return h('details', { class: 'try' }, h('summary', {}, 'Try it'),
    fields.map(({ parameter, input }) => h('label', {}, parameter.name, input)),
    body ? h('label', {}, `Body (${type})`, body) : undefined, button, out)
}

function operationView(method, path, item, operation) {
  const parameters = [...(item.parameters ?? []), ...(operation.parameters ?? [])].map(resolve)
  return h('details', { class: 'operation', id: operation.operationId },
    h('summary', {}, h('span', { class: `method ${method}` }, method), h('code', {}, path), h('span', { class: 'what' }, operation.summary)),
    h('div', { class: 'body' }, prose(operation.description), h('p', { class: 'role' }, needs(operation)),
      parametersTable(parameters),
      operation.requestBody ? [h('h3', {}, 'Body'), ...content(operation.requestBody.content)] : undefined,
      responses(operation.responses), tryIt(method, path, parameters, operation)))
}

function operations() {
  const found = []
  for (const [path, item] of Object.entries(spec.paths)) {
    for (const method of methods) {
      if (item[method]) found.push({ path, method, item, operation: item[method] })
    }
  }
  return found
}

function render() {
  byId('intro').replaceChildren(h('h1', {}, spec.info.title), ...prose(spec.info.description))
  const all = operations()
  const index = []
  const body = []
  for (const tag of spec.tags) {
    const of = all.filter(({ operation }) => operation.tags?.includes(tag.name))
    index.push(h('section', {}, h('h2', {}, tag.name), h('ul', {}, of.map(({ method, path, operation }) =>
      h('li', { 'data-text': `${method} ${path} ${operation.operationId} ${operation.summary}`.toLowerCase() },
        h('a', { href: `#${operation.operationId}` }, h('span', { class: `method ${method}` }, method), path))))))
    body.push(h('section', {}, h('h2', {}, tag.name), prose(tag.description),
      of.map(({ method, path, item, operation }) => operationView(method, path, item, operation))))
  }
  byId('index').replaceChildren(...index)
  byId('operations').replaceChildren(...body)
}

// openTarget opens the operation that the address names.
function openTarget() {
  const target = location.hash && byId(decodeURIComponent(location.hash.slice(1)))
  if (target?.tagName !== 'DETAILS') return
  target.open = true
  target.scrollIntoView()
  target.querySelector('summary').focus({ preventScroll: true })
}

function filter() {
  const words = byId('filter').value.toLowerCase().split(/\s+/)
  for (const item of document.querySelectorAll('#index li')) {
    const hidden = !words.every((word) => item.dataset.text.includes(word))
    item.hidden = hidden
    byId(item.firstChild.getAttribute('href').slice(1)).hidden = hidden
  }
}

async function start() {
  try {
    const answer = await fetch('/api/openapi.json')
    if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`)
    spec = await answer.json()
  } catch (error) {
    byId('operations').replaceChildren(h('p', { role: 'alert' }, `The description could not be read: ${error.message}`))
    return
  }
  render()
  openTarget()
  byId('filter').addEventListener('input', filter)
  addEventListener('hashchange', openTarget)
}

start()
