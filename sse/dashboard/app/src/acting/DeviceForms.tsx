// One device, one fleet.

import { useEffect, useState } from 'react'
import { call } from '../state/api.ts'
import { seesAll } from '../state/session.ts'
import { useSignal } from '../state/store.ts'
import { patchOf, newKey } from './api.ts'
import { Buttons, Check, Dialog, Form, SelectField, TextField, useFormState } from './forms.tsx'
import { fleetNames, fleets, type DeviceItem, type FleetItem } from './lists.ts'
import { beliefOf, HygieneFields, hygieneOf, HYGIENE, LimitFields, LIMITS, MetadataField } from './Extras.tsx'
import { ownTracksId } from './owntracks.ts'
import type { DeviceSecret } from './Secret.tsx'
import { Refused } from './refused.ts'
import { numbersOf, parseMetadata, textsOf, writeMetadata, type Texts } from './texts.ts'
import { acting as a } from './words.ts'

const NAMES = ['id', 'fleet', 'name', 'status', 'metadata', ...LIMITS]
const NUMBERS = ['silence_s', 'retire_after_s', 'alerts_s', 'history_s', 'max_devices', ...LIMITS, ...HYGIENE]
const FLEET_NAMES = ['id', 'name', 'metadata', 'hygiene.bbox', 'hygiene.off', ...NUMBERS]
const HYGIENE_SHOWN = [...HYGIENE, 'hygiene.bbox', 'hygiene.off']

export function DeviceForm({ device, close, done }: { device?: DeviceItem, close(): void, done(secret?: DeviceSecret): void }) {
  useSignal(fleets)
  const form = useFormState(NAMES)
  const known = fleetNames()
  const [id, setId] = useState('')
  const [phone, setPhone] = useState(false)
  const [fleet, setFleet] = useState(device?.fleet ?? known[0] ?? '')
  const [name, setName] = useState(device?.name ?? '')
  const [status, setStatus] = useState<'enabled' | 'disabled'>(device?.status ?? 'enabled')
  const [limits, setLimits] = useState<Texts>(() => textsOf(device, LIMITS))
  const [notes, setNotes] = useState(() => writeMetadata(device?.metadata))
  useEffect(() => { void fleets.load() }, [])
  const save = async () => {
    const metadata = parseMetadata(notes)
    const more = { ...numbersOf(limits), ...(metadata && { metadata }) }
    if (device) {
      const { limits: held, metadata: noted } = device
      const patch = patchOf({ fleet: device.fleet, name: device.name, status: device.status, limits: held, metadata: noted }, { fleet, name: name === '' ? undefined : name, status, ...more })
      await call('PATCH', `/api/devices/${encodeURIComponent(device.id)}`, patch, device.revision ? { 'if-match': `"${device.revision}"` } : {})
      done()
      return
    }
    if (phone && !ownTracksId(id)) throw new Refused('id', a.device.phoneId)
    done(await call<DeviceSecret>('POST', '/api/devices', { id, fleet, ...(name !== '' && { name }), ...(status === 'disabled' && { status }), ...more }, { 'idempotency-key': newKey() }))
  }
  return (
    <Dialog title={device ? a.device.edit(device.name ?? device.id) : a.device.create} close={close}>
      <Form form={form} submit={save}>
        <div className="scroll">
          {!device && <Check label={a.device.phone} hint={a.device.phoneHint} value={phone} set={setPhone} />}
          {!device && <TextField form={form} name="id" label={a.id} hint={phone ? a.device.phoneId : a.device.idHint} value={id} set={setId} autoFocus placeholder={phone ? 'ann:phone' : 'truck-17'} />}
          {/* Only who may act on every fleet may name one that is not there yet. */}
          {seesAll() ? (
            <>
              <TextField form={form} name="fleet" label={a.fleet} value={fleet} set={setFleet} list="fleets-known" />
              <datalist id="fleets-known">{known.map(one => <option key={one} value={one} />)}</datalist>
            </>
          ) : <SelectField form={form} name="fleet" label={a.fleet} value={fleet} set={setFleet} options={known.map(f => [f, f] as const)} />}
          <TextField form={form} name="name" label={a.name} optional value={name} set={setName} />
          <SelectField form={form} name="status" label={a.device.status} value={status} set={setStatus} options={[['enabled', a.device.enabled], ['disabled', a.device.shut]]} />
          <MetadataField form={form} value={notes} set={setNotes} />
          <LimitFields form={form} texts={limits} set={setLimits} hint={a.limits.hint} />
        </div>
        <Buttons form={form} submit={device ? a.save : a.add} cancel={close} />
      </Form>
    </Dialog>
  )
}

export function FleetForm({ fleet, close }: { fleet: FleetItem | null, close(): void }) {
  const form = useFormState(FLEET_NAMES)
  const [id, setId] = useState('')
  const [name, setName] = useState(fleet?.name ?? '')
  const [texts, setTexts] = useState<Texts>(() => textsOf(fleet, NUMBERS))
  const [notes, setNotes] = useState(() => writeMetadata(fleet?.metadata))
  const [belief, believe] = useState(() => beliefOf(fleet?.hygiene))
  const save = async () => {
    const { hygiene, ...numbers } = numbersOf(texts)
    // What the form does not show of the hygiene stays as it is.
    const hidden = Object.fromEntries(Object.entries(fleet?.hygiene ?? {}).filter(([member]) => !HYGIENE_SHOWN.includes(`hygiene.${member}`)))
    const believed = { ...hidden, ...hygiene as object, ...hygieneOf(belief) }
    const metadata = parseMetadata(notes)
    const body = { ...(name !== '' && { name }), ...numbers, ...(metadata && { metadata }), ...(Object.keys(believed).length > 0 && { hygiene: believed }) }
    if (fleet) await fleets.change(fleet, patchOf(kept(fleet), body))
    else await fleets.create({ id, ...body })
    close()
  }
  const number = (path: string, label: string, hint: string) => (
    <TextField form={form} name={path} label={label} hint={hint} inputMode="numeric" value={texts[path] ?? ''} set={text => setTexts({ ...texts, [path]: text })} />
  )
  return (
    <Dialog title={fleet ? a.device.edit(fleet.name ?? fleet.id) : a.device.createFleet} close={close}>
      <Form form={form} submit={save}>
        <div className="scroll">
          {!fleet && <TextField form={form} name="id" label={a.id} value={id} set={setId} autoFocus placeholder="north" />}
          <TextField form={form} name="name" label={a.name} optional value={name} set={setName} />
          <div className="pair">
            {number('silence_s', a.device.silence, a.device.silenceHint)}
            {number('retire_after_s', a.device.retire, a.device.retireHint)}
          </div>
          <div className="pair">
            {number('alerts_s', a.device.alerts, a.device.keptHint)}
            {number('history_s', a.device.history, a.device.keptHint)}
          </div>
          {number('max_devices', a.device.most, a.device.mostHint)}
          <MetadataField form={form} value={notes} set={setNotes} />
          <LimitFields form={form} texts={texts} set={setTexts} hint={a.limits.fleetHint} />
          <HygieneFields form={form} texts={texts} set={setTexts} belief={belief} believe={believe} />
        </div>
        <Buttons form={form} submit={fleet ? a.save : a.add} cancel={close} />
      </Form>
    </Dialog>
  )
}

// What of a fleet the form may change.
function kept({ name, silence_s, retire_after_s, alerts_s, history_s, max_devices, limits, metadata, hygiene }: FleetItem): Record<string, unknown> {
  return {
    name, silence_s: silence_s || undefined, retire_after_s: retire_after_s || undefined, alerts_s: alerts_s || undefined, history_s: history_s || undefined,
    max_devices: max_devices || undefined, limits, metadata, hygiene,
  }
}
