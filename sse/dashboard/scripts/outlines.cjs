// Writes the outlines of the world for the map: node scripts/outlines.cjs <folder> [resolution]
//
// In: world-atlas (TopoJSON, made from Natural Earth) and city-timezones (whose cities are Natural Earth's populated
// places). Out: <folder>/places.json, names with their places: {notice, countries: [[name, lon, lat, square degrees]…],
// cities: [[name, lon, lat, people]…]}; and <folder>/outlines.json, which page/outlines.js and app/src/map/outlines.ts
// read: {notice, scale, land: [ring…], borders: [line…]}, where a ring or a line is a flat list of
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

// Cities of fewer people are not named: at the zooms where they would be, there is nothing else to see.
const LEAST_PEOPLE = 120_000

// The licences ask to travel with the data: the notice is part of the file that the binary embeds.
function notice(name) {
  const folder = path.dirname(require.resolve(`${name}/package.json`))
  const file = path.join(folder, 'LICENSE')
  const text = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : `Licence: ${require(`${name}/package.json`).license}`
  return `Made with Natural Earth (public domain). Taken from ${name}:\n${text.trim()}`
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

function signedArea(ring) {
  let sum = 0
  for (let i = 0; i < ring.length; i++) {
    const [a, b] = [ring[i], ring[(i + 1) % ring.length]]
    sum += a[0] * b[1] - b[0] * a[1]
  }
  return sum / 2
}

function centroid(ring) {
  const area = signedArea(ring)
  let [x, y] = [0, 0]
  for (let i = 0; i < ring.length; i++) {
    const [a, b] = [ring[i], ring[(i + 1) % ring.length]]
    const cross = a[0] * b[1] - b[0] * a[1]
    x += (a[0] + b[0]) * cross
    y += (a[1] + b[1]) * cross
  }
  return [x / (6 * area), y / (6 * area)]
}

const round = degrees => Math.round(degrees * 100) / 100

// A country's name stands in the middle of its largest piece.
function countries(topology) {
  return feature(topology, topology.objects.countries).features.map(country => {
    const rings = ringsOf(country.geometry).map(unwrap)
    const largest = rings.reduce((a, b) => Math.abs(signedArea(a)) >= Math.abs(signedArea(b)) ? a : b)
    const [lon, lat] = centroid(largest)
    return [country.properties.name, round(lon), round(lat), round(Math.abs(signedArea(largest)) * Math.cos(lat * Math.PI / 180))]
  }).sort((a, b) => b[3] - a[3])
}

function cities() {
  const { cityMapping } = require('city-timezones')
  return cityMapping.filter(city => city.pop >= LEAST_PEOPLE)
    .map(city => [city.city, round(city.lng), round(city.lat), Math.round(city.pop)]).sort((a, b) => b[3] - a[3])
}

// Written whole or not at all: a build that is interrupted must not embed half a file.
function write(file, value) {
  fs.writeFileSync(file + '.tmp', JSON.stringify(value))
  fs.renameSync(file + '.tmp', file)
}

function main([folder, resolution = '50m']) {
  if (!folder) throw new Error('usage: node scripts/outlines.cjs <folder> [110m|50m]')
  const topology = require(`world-atlas/countries-${resolution}.json`)
  const land = ringsOf(feature(topology, topology.objects.land))
    .map(ring => steps(closeOverPole(unwrap(ring)))).filter(ring => ring.length >= 6)
  const borders = mesh(topology, topology.objects.countries, (a, b) => a !== b).coordinates
    .map(line => steps(unwrap(line)))
  fs.mkdirSync(folder, { recursive: true })
  const places = { notice: notice('city-timezones'), countries: countries(topology), cities: cities() }
  write(path.join(folder, 'places.json'), places)
  const file = path.join(folder, 'outlines.json')
  write(file, { notice: notice('world-atlas'), scale: SCALE, land, borders })
  console.log(`${file}: ${land.length} areas, ${borders.length} borders, ${fs.statSync(file).size} bytes; ` +
    `${places.countries.length} countries and ${places.cities.length} cities with their names`)
}

main(process.argv.slice(2))
