import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Camera } from '../page/camera.js'
import * as geo from '../page/geo.js'

const near = (got, want, slack = 1e-9) => assert.ok(Math.abs(got - want) <= slack, `${got} is not ${want}`)
const place = (lat, lon) => ({ x: geo.mercatorX(lon), y: geo.mercatorY(lat) })

test('places come back from the map', () => {
  for (const [lat, lon] of [[0, 0], [48.85833, 2.29513], [-33.86882, 151.20929], [85, -179.9], [-85, 179.9]]) {
    near(geo.longitude(geo.mercatorX(lon)), lon)
    near(geo.latitude(geo.mercatorY(lat)), lat)
  }
  near(geo.mercatorY(0), 0.5)
  near(geo.mercatorY(geo.MAX_LATITUDE), 0)
  near(geo.mercatorY(90), 0) // the poles are at the edge, not at infinity
  near(geo.mercatorY(-90), 1)
})

test('the way across 180° is the short one', () => {
  near(geo.shortestX(geo.mercatorX(179), geo.mercatorX(-179)), 2 / 360)
  near(geo.shortestX(geo.mercatorX(-179), geo.mercatorX(179)), -2 / 360)
  near(geo.shortestTurn(350, 10), 20)
  near(geo.shortestTurn(10, 350), -20)
  near(geo.shortestTurn(-30, 350), 20)
})

test('bounds span the narrowest part of the ring', () => {
  assert.equal(geo.boundsOf([]), null)
  const fiji = geo.boundsOf([place(-17, 178), place(-18, -178)])
  near(fiji.width, 4 / 360)
  near(geo.longitude(fiji.x), -180)
  const one = geo.boundsOf([place(10, 20)])
  near(one.width, 0)
  near(geo.longitude(one.x), 20)
  near(geo.boundsOf([place(0, -60), place(0, 0), place(0, 60)]).width, 120 / 360)
})

test('a degree of longitude shrinks to the north', () => {
  near(geo.metres(1 / 360, 0.5), 111319.49, 1)
  near(geo.metres(1 / 360, geo.mercatorY(60)), 55659.7, 1)
})

test('steps of the scale bar are round', () => {
  assert.deepEqual([999, 500, 499, 20, 1.9, 0.6].map(geo.roundBelow), [500, 500, 200, 20, 1, 0.5])
})

test('the camera shows each place once and stays within the world', () => {
  const camera = new Camera()
  camera.resize(900, 700)
  camera.look(0.5, 0.5, 1)
  assert.equal(camera.scale, 900)
  camera.look(0.5, -3, 900)
  near(camera.y, 350 / 900)
  camera.look(1.25, 0.5, 5000)
  near(camera.x, 0.25)
  camera.look(0.999, 0.5, 1e4)
  near(camera.screenX(0.001), 450 + 20, 1e-6)
})

test('zooming keeps what is under the pointer', () => {
  const camera = new Camera()
  camera.resize(900, 700)
  camera.look(0.3, 0.4, 20000)
  const x = camera.x + (100 - 450) / camera.scale
  camera.zoom(3, 100, 200)
  near(camera.screenX(x), 100, 1e-6)
  assert.equal(camera.scale, 60000)
})

test('fitting shows the whole box, and not closer than makes sense', () => {
  const camera = new Camera()
  camera.resize(900, 700)
  const box = geo.boundsOf([place(48, 2), place(52, 13)])
  const view = camera.fitting(box, 50)
  camera.look(view.x, view.y, view.scale)
  for (const p of [place(48, 2), place(52, 13)]) {
    const [x, y] = [camera.screenX(p.x), camera.screenY(p.y)]
    assert.ok(x >= 49 && x <= 851 && y >= 49 && y <= 651, `${x}, ${y}`)
  }
  assert.equal(camera.fitting(geo.boundsOf([place(48, 2)]), 50).scale, 256 * 2 ** 13)
})
