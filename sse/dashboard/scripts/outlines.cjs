// Writes the outlines of the world for the page's map: node scripts/outlines.cjs <folder> [resolution]
//
// In: world-atlas (TopoJSON, made from Natural Earth). Out: <folder>/outlines.json, whose only reader is
// page/outlines.js: {notice, scale, land: [ring…], borders: [line…]}, where a ring or a line is a flat list of
// integers, first a point and then steps: degrees times scale, longitude before latitude. Steps of small integers
// are a third of the size of GeoJSON and need no library to read.
//
// It is CommonJS because require, unlike import, finds packages through NODE_PATH: tests install them elsewhere.
'use strict'

const fs = require('node:fs')
const path = require('node:path')
const { feature, mesh } = require('topojson-client')

// 1/500 of a degree is 220 m, finer than the points of the 1:50m data are apart.
const SCALE = 500

// Both licences ask to travel with the data: the notice is part of the file that the binary embeds.
function notice() {
  const licence = fs.readFileSync(path.join(path.dirname(require.resolve('world-atlas/package.json')), 'LICENSE'), 'utf8')
  return 'Made with Natural Earth (public domain). Taken from world-atlas:\n' + licence.trim()
}

// The data goes on at -180° where a line leaves the world at 180°. On a flat map it must run on beyond, or an edge would
// cross the whole world; the reader draws what lies beyond on the other side.
function unwrap(points) {
  let turns = 0
  return points.map(([lon, lat], i) => {
    const step = i === 0 ? 0 : lon - points[i - 1][0]
    if (Math.abs(step) > 180) turns -= Math.sign(step)
    return [lon + 360 * turns, lat]
  })
}

// A coast that runs once around a pole (Antarctica's) ends a world away from its beginning: it is closed over the pole.
function closeOverPole(ring) {
  const [first, last] = [ring[0], ring[ring.length - 1]]
  if (Math.abs(last[0] - first[0]) < 180) return ring
  const pole = last[1] < 0 ? -90 : 90
  return [...ring, [last[0], pole], [first[0], pole]]
}

function steps(points) {
  const out = []
  let lastX = 0
  let lastY = 0
  for (const [lon, lat] of points) {
    const x = Math.round(lon * SCALE)
    const y = Math.round(lat * SCALE)
    if (out.length > 0 && x === lastX && y === lastY) continue
    out.push(x - lastX, y - lastY)
    lastX = x
    lastY = y
  }
  return out
}

function ringsOf(geometry) {
  switch (geometry.type) {
    case 'FeatureCollection': return geometry.features.flatMap(f => ringsOf(f.geometry))
    case 'Feature': return ringsOf(geometry.geometry)
    case 'Polygon': return geometry.coordinates
    case 'MultiPolygon': return geometry.coordinates.flat()
    default: throw new Error(`land is a ${geometry.type}, which is no area`)
  }
}

function main([folder, resolution = '50m']) {
  if (!folder) throw new Error('usage: node scripts/outlines.cjs <folder> [110m|50m]')
  const topology = require(`world-atlas/countries-${resolution}.json`)
  const land = ringsOf(feature(topology, topology.objects.land))
    .map(ring => steps(closeOverPole(unwrap(ring)))).filter(ring => ring.length >= 6)
  const borders = mesh(topology, topology.objects.countries, (a, b) => a !== b).coordinates
    .map(line => steps(unwrap(line)))
  const file = path.join(folder, 'outlines.json')
  fs.mkdirSync(folder, { recursive: true })
  // Written whole or not at all: a build that is interrupted must not embed half a file.
  fs.writeFileSync(file + '.tmp', JSON.stringify({ notice: notice(), scale: SCALE, land, borders }))
  fs.renameSync(file + '.tmp', file)
  console.log(`${file}: ${land.length} areas, ${borders.length} borders, ${fs.statSync(file).size} bytes`)
}

main(process.argv.slice(2))
