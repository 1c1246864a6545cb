import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Fleet, locate } from '../page/fleet.js'
import { longitude, mercatorX } from '../page/geo.js'

const asset = (id, more = {}) => ({ id, fleet: 'north', status: 'online', received: 1, lat: 48, lon: 2, ...more })
const near = (got, want, slack = 1e-9) => assert.ok(Math.abs(got - want) <= slack, `${got} is not ${want}`)

test('an asset replaces the one before, and counts follow its status', () => {
  const fleet = new Fleet()
  fleet.put(asset('a', { speed: 3 }), 0)
  fleet.put(asset('a', { status: 'offline' }), 10)
  fleet.put(asset('b', { status: 'parked' }), 10)
  assert.equal(fleet.size, 2)
  assert.equal(fleet.get('a').asset.speed, undefined)
  assert.deepEqual(fleet.counts, { online: 0, offline: 1, unknown: 1 })
})

test('what is no asset is refused', () => {
  const fleet = new Fleet()
  for (const bad of [null, 7, 'x', [], {}, { id: 7 }]) assert.equal(fleet.put(bad, 0), false)
  assert.equal(fleet.size, 0)
})

test('ids that are names of JavaScript are ids', () => {
  const fleet = new Fleet()
  for (const id of ['__proto__', 'constructor', 'toString']) fleet.put(asset(id), 0)
  assert.equal(fleet.size, 3)
  assert.equal(fleet.get('valueOf'), undefined)
})

test('removed is heard only for the fleet that the device is held with', () => {
  const fleet = new Fleet()
  fleet.put(asset('a'), 0)
  fleet.put(asset('a', { fleet: 'south' }), 1)
  assert.equal(fleet.remove('a', 'north'), false)
  assert.equal(fleet.size, 1)
  assert.equal(fleet.remove('a', 'south'), true)
  assert.deepEqual([fleet.size, fleet.counts.online], [0, 0])
})

test('the list is sorted again only when something that it shows by has changed', () => {
  const fleet = new Fleet()
  fleet.put(asset('a'), 0)
  const before = fleet.membership
  fleet.put(asset('a', { lat: 49, speed: 9 }), 1)
  assert.equal(fleet.membership, before)
  fleet.put(asset('a', { name: 'Anna' }), 2)
  assert.notEqual(fleet.membership, before)
})

test('a pin glides to its new place in the time of the report before', () => {
  const fleet = new Fleet()
  fleet.put(asset('a', { heading: 350 }), 0)
  fleet.put(asset('a', { lon: 2.001, heading: 10 }), 1000)
  const entry = fleet.get('a')
  locate(entry, 1000)
  near(longitude(entry.shown.x), 2)
  locate(entry, 1550) // half of 1.1 s
  near(longitude(entry.shown.x), 2.0005)
  near(entry.shown.heading % 360, 10) // the turn is done by then, the short way
  locate(entry, 1275)
  near(entry.shown.heading, 360)
  locate(entry, 9999)
  near(entry.shown.x, mercatorX(2.001))
  assert.equal(fleet.movingUntil, 2100)
})

test('an update in the middle of a glide goes on from where the pin is', () => {
  const fleet = new Fleet()
  fleet.put(asset('a'), 0)
  fleet.put(asset('a', { lon: 2.001 }), 1000)
  fleet.put(asset('a', { lon: 2.002 }), 1550)
  const entry = fleet.get('a')
  locate(entry, 1550)
  near(longitude(entry.shown.x), 2.0005)
})

test('a pin crosses 180° by the short way', () => {
  const fleet = new Fleet()
  fleet.put(asset('a', { lat: 0, lon: 179.999 }), 0)
  fleet.put(asset('a', { lat: 0, lon: -179.999 }), 1000)
  const entry = fleet.get('a')
  locate(entry, 1550)
  near(Math.abs(longitude(entry.shown.x)), 180)
})

test('a place that no drive can have reached is jumped to', () => {
  const fleet = new Fleet()
  fleet.put(asset('a'), 0)
  fleet.put(asset('a', { lat: -20 }), 1000)
  const entry = fleet.get('a')
  locate(entry, 1001)
  assert.equal(entry.shown.y, entry.target.y)
  assert.equal(entry.trail.length, 1)
})

test('an asset without a position, or with an absurd one, has no pin', () => {
  const fleet = new Fleet()
  for (const lat of [undefined, null, 'x', NaN]) {
    fleet.put(asset('a', { lat }), 0)
    assert.equal(fleet.get('a').placed, false)
  }
})

test('the trail is bounded', () => {
  const fleet = new Fleet()
  for (let i = 0; i < 1000; i++) fleet.put(asset('a', { lon: 2 + i / 1e4 }), i * 1000)
  assert.equal(fleet.get('a').trail.length, 60)
})
