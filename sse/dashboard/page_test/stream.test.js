import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { ServerClock, freshnessOf } from '../page/freshness.js'
import { AssetStream } from '../page/stream.js'

class FakeSource extends EventTarget {
  static CLOSED = 2
  static all = []
  readyState = 0

  constructor(url) {
    super()
    this.url = url
    FakeSource.all.push(this)
  }

  close() {
    this.readyState = FakeSource.CLOSED
  }

  say(name, data, lastEventId = '') {
    this.dispatchEvent(Object.assign(new Event(name), { data: typeof data === 'string' ? data : JSON.stringify(data), lastEventId }))
  }
}

// Time that moves only by tick. Node's own mock of it is younger than the oldest Node that this runs with.
class FakeTime {
  now = 1e12
  timers = new Map()
  ids = 0

  install() {
    const add = (run, wait, every) => { this.timers.set(++this.ids, { run, due: this.now + wait, every }); return this.ids }
    mock.method(Date, 'now', () => this.now)
    mock.method(globalThis, 'setTimeout', (run, wait) => add(run, wait, 0))
    mock.method(globalThis, 'setInterval', (run, wait) => add(run, wait, wait))
    for (const clear of ['clearTimeout', 'clearInterval']) mock.method(globalThis, clear, id => this.timers.delete(id))
  }

  tick(ms) {
    const end = this.now + ms
    for (;;) {
      const [id, next] = [...this.timers].sort((a, b) => a[1].due - b[1].due)[0] ?? []
      if (!next || next.due > end) break
      this.now = next.due
      if (next.every) next.due += next.every
      else this.timers.delete(id)
      next.run()
    }
    this.now = end
  }
}

// A stream on fake sources and fake time; log is what the page heard.
function start(t) {
  const time = new FakeTime()
  time.install()
  mock.method(Math, 'random', () => 0.5)
  mock.method(console, 'warn', () => {})
  t.after(() => mock.restoreAll())
  FakeSource.all = []
  const log = []
  const on = {}
  for (const name of ['batch', 'removed', 'reset', 'ready', 'heartbeat', 'state']) on[name] = data => log.push([name, data])
  const stream = new AssetStream('/stream/assets?format=batch', on, FakeSource)
  stream.start()
  return { time, stream, log, source: () => FakeSource.all.at(-1), states: () => log.filter(([name]) => name === 'state').map(([, word]) => word) }
}

test('the states follow the stream: connecting, catching up, connected', t => {
  const { source, states, log } = start(t)
  source().say('open', '')
  source().say('batch', [{ id: 'a' }], '1')
  source().say('ready', { sid: 's' }, '1')
  assert.deepEqual(states(), ['connecting', 'catching-up', 'connected'])
  assert.deepEqual(log.find(([name]) => name === 'batch'), ['batch', [{ id: 'a' }]])
})

test('a stream that begins without an id clears the page, one that goes on does not', t => {
  const { source, log } = start(t)
  const resets = () => log.filter(([name]) => name === 'reset').length
  source().say('open', '')
  assert.equal(resets(), 1)
  source().say('batch', [], '7')
  source().say('open', '') // the browser came back, with the id in its header
  assert.equal(resets(), 1)
})

test('an error that the browser handles is left to it', t => {
  const { time, source, states } = start(t)
  source().say('error', '')
  time.tick(20000)
  assert.equal(FakeSource.all.length, 1)
  assert.equal(states().at(-1), 'reconnecting')
})

test('an error that ended the source is answered by new ones, ever later, from the last id', t => {
  const { time, source } = start(t)
  source().say('open', '')
  source().say('batch', [], '4:2 &x')
  const waits = [1000, 2000, 4000, 8000, 16000, 30000, 30000]
  for (const wait of waits) {
    const before = FakeSource.all.length
    source().close()
    source().say('error', '')
    time.tick(wait - 1)
    assert.equal(FakeSource.all.length, before, `not before ${wait} ms`)
    time.tick(1)
    assert.equal(FakeSource.all.length, before + 1, `after ${wait} ms`)
    assert.equal(source().url, '/stream/assets?format=batch&last_event_id=4%3A2%20%26x')
  }
  source().say('open', '')
  source().close()
  source().say('error', '')
  time.tick(1000)
  assert.equal(FakeSource.all.length, waits.length + 2) // a success makes the next wait short again
})

test('a stream that is silent for 35 s is closed and opened again', t => {
  const { time, source, states } = start(t)
  source().say('open', '')
  source().say('ready', {}, '9')
  const first = source()
  for (let i = 0; i < 10; i++) {
    time.tick(15000)
    source().say('heartbeat', { now: 1, lag_ms: 2 }, '9')
  }
  assert.equal(FakeSource.all.length, 1)
  time.tick(41000)
  assert.equal(FakeSource.all.length, 2)
  assert.equal(first.readyState, FakeSource.CLOSED)
  assert.equal(source().url, '/stream/assets?format=batch&last_event_id=9')
  assert.equal(states().at(-1), 'reconnecting')
})

test('a source that was closed is not heard any more', t => {
  const { time, source, log } = start(t)
  const first = source()
  time.tick(41000)
  const before = log.length
  first.say('batch', [{ id: 'late' }], '1')
  first.say('error', '')
  assert.equal(log.length, before)
})

test('a reset is heard and the stream catches up', t => {
  const { source, log, states } = start(t)
  source().say('open', '')
  source().say('ready', {}, '1')
  source().say('reset', { reason: 'epoch' }, '1')
  assert.equal(states().at(-1), 'catching-up')
  assert.deepEqual(log.filter(([name]) => name === 'reset').length, 2)
})

test('data that is no JSON is skipped, with its id', t => {
  const { source, log, stream } = start(t)
  source().say('open', '')
  source().say('batch', '[{"id":', '5')
  source().say('removed', 'null', '6')
  assert.equal(log.filter(([name]) => name === 'batch' || name === 'removed').length, 0)
  assert.equal(stream.lastId, '')
})

test('a page that stops holds nothing', t => {
  const { time, source, stream } = start(t)
  source().close()
  source().say('error', '')
  stream.stop()
  time.tick(200000)
  assert.equal(FakeSource.all.length, 1)
})

test("the server's clock is the least delayed of the recent heartbeats", t => {
  t.mock.method(Date, 'now', () => 1e12)
  const clock = new ServerClock()
  clock.hear(1e12 + 4000)
  clock.hear(1e12 + 1000) // held up for three seconds
  assert.equal(clock.now(), 1e12 + 4000)
  for (let i = 0; i < 8; i++) clock.hear(1e12 - 500) // the clock was set back
  assert.equal(clock.now(), 1e12 - 500)
  clock.hear(NaN)
  clock.witness(1e12 + 100)
  assert.equal(clock.now(), 1e12 + 100)
})

test('what was heard of long ago is old', () => {
  assert.deepEqual([0, 60000, 330000, 600000, 1e9].map(freshnessOf), [1, 1, 0.5, 0, 0])
})

test('the last message is none before the first, and a new attempt is no message', t => {
  const { stream, time } = start(t)
  assert.equal(stream.lastMessage, null)
  FakeSource.all.at(-1).say('heartbeat', { now: 1, lag_ms: 0 })
  const heard = time.now
  assert.equal(stream.lastMessage, heard)
  time.tick(60_000) // silence: the stream is opened anew
  assert.equal(stream.lastMessage, heard)
})
