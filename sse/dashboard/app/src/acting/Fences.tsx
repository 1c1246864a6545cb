// Geofences: the list, and the one that is drawn.

import { useEffect, useMemo, useState } from 'react'
import { distance } from '../format.ts'
import { mapValue } from '../state/mapstate.ts'
import { may } from '../state/session.ts'
import { useSignal, useValue } from '../state/store.ts'
import { Icon } from '../ui/Icon.tsx'
import { idOf, patchOf } from './api.ts'
import { Buttons, Chips, Confirm, Field, Form, Nothing, Segments, TextField, useFormState } from './forms.tsx'
import { boundsOf, outlineOf, metresBetween, parsePlaces, tidy, writePlaces, type ShapeType } from './geometry.ts'
import { fences, fleetNames, fleets, type Fence } from './lists.ts'
import { Sketch } from './sketch.ts'
import { Refused } from './refused.ts'
import { acting as a } from './words.ts'

const SHAPES: readonly (readonly [ShapeType, string])[] = [['circle', a.fence.circle], ['polygon', a.fence.polygon], ['corridor', a.fence.corridor]]
const HOW: Record<ShapeType, string> = { circle: a.fence.drawCircle, polygon: a.fence.drawPolygon, corridor: a.fence.drawCorridor }

export function FencesPanel() {
  useSignal(fences)
  const [open, setOpen] = useState<Fence | 'new' | null>(null)
  const [removing, setRemoving] = useState<Fence | null>(null)
  useEffect(() => { void fences.load(true) }, [])
  if (open) return <FenceForm key={open === 'new' ? '' : open.id} fence={open === 'new' ? null : open} close={() => setOpen(null)} />
  return (
    <section className="panel fences" aria-label={a.fence.title}>
      <header className="tools"><div className="heading"><h1>{a.fence.title}</h1>
        {may('operator') && <button type="button" className="button small" onClick={() => setOpen('new')}><Icon name="plus" size={15} />{a.fence.create}</button>}
      </div></header>
      {fences.state === 'failed' ? <Nothing title={a.unreadable} text={fences.trouble} />
        : fences.items.length === 0 ? fences.state === 'ready' && <Nothing title={a.fence.none} text={a.fence.noneText} />
          : (
            <ul className="things">
              {fences.items.map(fence => (
                <li key={fence.id} data-id={fence.id}>
                  <button type="button" className="face" title={a.fence.show} onClick={() => show(fence)}>
                    <Icon name="fence" size={18} /><strong>{fence.name ?? fence.id}</strong><span className="sub">{describe(fence)}</span>
                  </button>
                  {may('operator') && (
                    <span className="tools-row">
                      <button type="button" className="button small" onClick={() => { show(fence); setOpen(fence) }}>{a.edit}</button>
                      <button type="button" className="button small danger" onClick={() => setRemoving(fence)}>{a.remove}</button>
                    </span>
                  )}
                </li>
              ))}
            </ul>
          )}
      {removing && <Confirm title={a.sure(removing.name ?? removing.id)} text={describe(removing)} act={() => fences.remove(removing)} close={() => setRemoving(null)} />}
    </section>
  )
}

function show(fence: Fence): void {
  const box = boundsOf(fence.geometry)
  if (box) mapValue.get()?.map.fitBounds(box, { padding: 80, maxZoom: 16, animate: false })
}

function describe({ geometry, fleets: seenBy }: Fence): string {
  const box = boundsOf(geometry)
  const size = box ? a.fence.size(distance(metresBetween(box[0], box[1]))) : ''
  return [a.fence.area[geometry.type], size, seenBy?.join(', ')].filter(Boolean).join(' · ')
}

const NAMES = ['name', 'id', 'geometry.radius', 'geometry.width', 'geometry', 'fleets'] as const

function FenceForm({ fence, close }: { fence: Fence | null, close(): void }) {
  const live = useValue(mapValue)
  const sketch = useMemo(() => new Sketch(fence?.geometry), [fence])
  useSignal(sketch)
  useSignal(fleets)
  const form = useFormState(NAMES)
  const [name, setName] = useState(fence?.name ?? '')
  const [seenBy, setSeenBy] = useState<string[]>(fence?.fleets ?? [])
  useEffect(() => live ? sketch.attach(live) : undefined, [live, sketch])
  useEffect(() => { void fleets.load() }, [])
  const save = async () => {
    if (sketch.places.length < sketch.needs) throw new Refused('geometry', a.fence.few(sketch.needs))
    const body = { ...(name !== '' && { name }), ...(seenBy.length > 0 && { fleets: seenBy }), geometry: sketch.geometry() }
    if (fence) await fences.change(fence, patchOf({ name: fence.name, fleets: fence.fleets, geometry: fence.geometry }, body))
    else await fences.create({ id: idOf(name, id => fences.get(id) !== undefined), ...body })
    close()
  }
  return (
    <section className="panel fences" aria-label={fence ? a.fence.edit(fence.name ?? fence.id) : a.fence.create}>
      <header className="tools"><div className="heading"><h1>{fence ? a.fence.edit(fence.name ?? fence.id) : a.fence.create}</h1>
        <button type="button" className="quiet-button" aria-label={a.close} onClick={close}><Icon name="close" size={18} /></button>
      </div></header>
      <Form form={form} submit={save}>
        <div className="scroll">
          <TextField form={form} name="name" label={a.name} value={name} set={setName} autoFocus maxLength={128} />
          <Segments label={a.fence.shape} name="shape" value={sketch.type} set={type => sketch.setType(type)} options={SHAPES} />
          <p className="how"><Icon name="target" size={16} />{HOW[sketch.type]}</p>
          <Size form={form} sketch={sketch} />
          <Places form={form} sketch={sketch} />
          {sketch.type === 'polygon' && sketch.holes.length > 0 && (
            <div className="tools-row holes"><span className="hint">{a.fence.holes(sketch.holes.length)}</span><button type="button" className="button small" onClick={() => sketch.fillHoles()}>{a.fence.fill}</button></div>
          )}
          <Chips form={form} name="fleets" label={a.fence.seenBy} hint={a.fence.seenByHint} options={fleetNames()} value={seenBy} set={setSeenBy} />
        </div>
        <Buttons form={form} submit={a.save} cancel={close} />
      </Form>
    </section>
  )
}

type Part = { form: ReturnType<typeof useFormState>, sketch: Sketch }

function Size({ form, sketch }: Part) {
  if (sketch.type === 'polygon') return null
  const circle = sketch.type === 'circle'
  const value = circle ? Math.round(sketch.radius * 10) / 10 : sketch.width
  return (
    <TextField form={form} name={circle ? 'geometry.radius' : 'geometry.width'} label={`${circle ? a.fence.radius : a.fence.width} (${a.fence.metres})`}
      type="number" min={1} step="any" inputMode="decimal" value={value === 0 ? '' : String(value)} set={text => sketch.setSize(Math.max(0, Number(text) || 0))} />
  )
}

// The places as text: for the keyboard, and for who has them written down.
function Places({ form, sketch }: Part) {
  const [typed, setTyped] = useState<string | null>(null)
  const text = writePlaces(sketch.places.map(tidy))
  const set = (value: string) => {
    setTyped(value)
    const { places, bad } = parsePlaces(value)
    if (bad > 0) {
      form.refuse('geometry', a.fence.badPlace(bad))
      return
    }
    form.clear('geometry')
    sketch.setPlaces(sketch.type === 'circle' ? places.slice(0, 1) : places)
  }
  return (
    <>
      <Field form={form} name="geometry" label={a.fence.places} hint={a.fence.placesHint}>
        {bound => <textarea {...bound} className="field mono" rows={4} spellCheck={false} value={typed ?? text} onChange={event => set(event.target.value)} onBlur={() => { if (form.errors.geometry === undefined) setTyped(null) }} />}
      </Field>
      <div className="tools-row">
        <button type="button" className="button small" disabled={!sketch.canUndo} onClick={() => { setTyped(null); sketch.undo() }}>{a.fence.undo}</button>
        <button type="button" className="button small" disabled={sketch.places.length === 0} onClick={() => { setTyped(null); sketch.clear() }}>{a.fence.clear}</button>
        <button type="button" className="button small" disabled={!outlineOf(sketch.geometry())} onClick={() => show({ id: '', geometry: sketch.geometry() })}>{a.fence.show}</button>
      </div>
    </>
  )
}

