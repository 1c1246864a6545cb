// Puts the map into the page and ties it to what is selected.

import { useEffect, useRef, useState } from 'react'
import { distance } from '../format.ts'
import type { LiveMap } from '../map/livemap.ts'
import { loadWorld } from '../map/outlines.ts'
import { m } from '../messages.ts'
import { board, choose, chosenFrom } from '../state/app.ts'
import { applied, clock, fleet, following, selected, streamState } from '../state/live.ts'
import { fences } from '../state/fences.ts'
import { mapValue, trail } from '../state/mapstate.ts'
import { isDark } from '../state/prefs.ts'
import { loadSettings } from '../state/settings.ts'
import { useValue, type Value } from '../state/store.ts'
import { followViewport } from '../state/viewport.ts'
import type { State } from '@fleetcast/client'
import { Icon } from '../ui/Icon.tsx'

export function MapView({ hidden }: { hidden: boolean }) {
  const box = useRef<HTMLDivElement>(null)
  const map = useValue(mapValue)
  const [failed, setFailed] = useState(false)

  useEffect(() => {
    let live: LiveMap | null = null
    let gone = false
    const undo: (() => void)[] = []
    const start = async () => {
      const [{ LiveMap }, settings, world] = await Promise.all([
        import('../map/livemap.ts'), loadSettings(), loadWorld(), document.fonts.load("500 12px 'Inter Variable'"),
      ])
      if (settings.map.kind === 'pmtiles') (await import('../map/pmtiles.ts')).readPMTiles()
      if (gone) return
      live = new LiveMap({
        container: box.current!, fleet, clock, trail, settings: settings.map, world, dark: isDark.get(),
        select: id => choose(id, 'map'), moved: () => following.set(false),
      })
      undo.push(...wire(live, settings.viewportFrom))
      mapValue.set(live)
    }
    start().catch((error: unknown) => {
      console.info('The map could not be drawn.', error)
      setFailed(true)
    })
    return () => {
      gone = true
      for (const f of undo) f()
      live?.destroy()
      mapValue.set(null)
    }
  }, [])

  return (
    <section className="map" hidden={hidden} aria-label={m.nav.map}>
      <div ref={box} className="canvas" data-view="map" />
      {failed && <p className="nogl">{m.map.noGl} <a href="/simple">{m.map.simple}</a></p>}
      {map && (
        <>
          <div className="zoom">
            <button type="button" aria-label={m.map.in} title={m.map.in} onClick={() => map.zoomBy(1)}><Icon name="plus" size={18} /></button>
            <button type="button" aria-label={m.map.out} title={m.map.out} onClick={() => map.zoomBy(-1)}><Icon name="minus" size={18} /></button>
            <button type="button" aria-label={m.map.fit} title={m.map.fit} onClick={() => map.fit()}><Icon name="fit" size={18} /></button>
          </div>
          <Scale metresPerPixel={map.scale} plain={map.isPlain} />
        </>
      )}
    </section>
  )
}

// All that there is has come: the map may show it as a whole.
function isThere(state: State): boolean { return state === 'live' || state === 'stale' }

// What the map hears of, until it goes.
function wire(live: LiveMap, viewportFrom: number): (() => void)[] {
  const watch = <T,>(value: Value<T>, f: (now: T) => void): (() => void) => {
    f(value.get())
    return value.subscribe(() => f(value.get()))
  }
  board.onFilter = () => live.refresh()
  let awaited = '' // chosen by a link before it was here
  const arrive = () => {
    if (!isThere(streamState.get())) return
    live.fitOnce()
    if (awaited !== '' && live.fly(awaited)) awaited = ''
  }
  const undo = [
    applied.subscribe(() => {
      live.update()
      arrive()
    }),
    watch(isDark, dark => live.setDark(dark)),
    watch(following, on => live.setFollowing(on)),
    watch(streamState, state => {
      live.setDead(state === 'offline')
      arrive()
    }),
    watch(selected, id => {
      live.setSelected(id)
      live.padding = coveredByDetails(id !== '')
      awaited = ''
      if (id !== '' && chosenFrom.get() !== 'map' && !live.fly(id)) awaited = id
    }),
  ]
  live.map.getCanvas().setAttribute('aria-label', m.map.label)
  const drawFences = () => live.setFences(fences.collection())
  drawFences()
  live.refresh()
  return [...undo, fences.subscribe(drawFences), followViewport(live, viewportFrom), () => { board.onFilter = () => {} }]
}

// The details lie over the right of the map, on a phone over the most of it.
const PHONE = matchMedia('(max-width: 760px)')

function coveredByDetails(open: boolean): LiveMap['padding'] {
  const none = { left: 0, right: 0, top: 0, bottom: 0 }
  if (!open) return none
  return PHONE.matches ? { ...none, top: 60, bottom: Math.round(innerHeight * 0.58) } : { ...none, right: 384 }
}

const LENGTHS = [1, 2, 5].flatMap(n => Array.from({ length: 7 }, (_, e) => n * 10 ** e)).sort((a, b) => b - a)

const STREETS = 150 // metres a pixel, from which on the outlines have nothing more to show

function Scale({ metresPerPixel, plain }: { metresPerPixel: Value<number>, plain: boolean }) {
  const metres = useValue(metresPerPixel)
  if (!(metres > 0)) return null
  const length = LENGTHS.find(l => l / metres <= 96) ?? 1
  return (
    <div className="scale" aria-hidden="true">
      <span style={{ width: Math.round(length / metres) }}>{distance(length)}</span>
      <em>{plain && metres < STREETS ? m.map.noStreets : m.map.outlines}</em>
    </div>
  )
}
