// One device, one fleet.

import { useEffect, useState } from 'react'
import { call } from '../state/api.ts'
import { useSignal } from '../state/store.ts'
import { patchOf, newKey } from './api.ts'
import { Buttons, Check, Dialog, Form, SelectField, TextField, useFormState } from './forms.tsx'
import { fleetNames, fleets, seesAll, type DeviceItem, type FleetItem } from './lists.ts'
import { ownTracksId } from './owntracks.ts'
import type { DeviceSecret } from './Secret.tsx'
import { Refused } from './refused.ts'
import { acting as a } from './words.ts'

const NAMES = ['id', 'fleet', 'name', 'status', 'silence_s'] as const

export function DeviceForm({ device, close, done }: { device?: DeviceItem, close(): void, done(secret?: DeviceSecret): void }) {
  useSignal(fleets)
  const form = useFormState(NAMES)
  const known = fleetNames()
  const [id, setId] = useState('')
  const [phone, setPhone] = useState(false)
  const [fleet, setFleet] = useState(device?.fleet ?? known[0] ?? '')
  const [name, setName] = useState(device?.name ?? '')
  const [status, setStatus] = useState<'enabled' | 'disabled'>(device?.status ?? 'enabled')
  useEffect(() => { void fleets.load() }, [])
  const save = async () => {
    if (device) {
      const patch = patchOf({ fleet: device.fleet, name: device.name, status: device.status }, { fleet, name: name === '' ? undefined : name, status })
      await call('PATCH', `/api/devices/${encodeURIComponent(device.id)}`, patch, device.revision ? { 'if-match': `"${device.revision}"` } : {})
      done()
      return
    }
    if (phone && !ownTracksId(id)) throw new Refused('id', a.device.phoneId)
    done(await call<DeviceSecret>('POST', '/api/devices', { id, fleet, ...(name !== '' && { name }), ...(status === 'disabled' && { status }) }, { 'idempotency-key': newKey() }))
  }
  return (
    <Dialog title={device ? a.device.edit(device.name ?? device.id) : a.device.create} close={close}>
      <Form form={form} submit={save}>
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
        <Buttons form={form} submit={device ? a.save : a.add} cancel={close} />
      </Form>
    </Dialog>
  )
}

export function FleetForm({ fleet, close }: { fleet: FleetItem | null, close(): void }) {
  const form = useFormState(NAMES)
  const [id, setId] = useState('')
  const [name, setName] = useState(fleet?.name ?? '')
  const [silence, setSilence] = useState(String(fleet?.silence_s ?? 0))
  const save = async () => {
    const body = { ...(name !== '' && { name }), ...(Number(silence) > 0 && { silence_s: Number(silence) }) }
    if (fleet) await fleets.change(fleet, patchOf({ name: fleet.name, silence_s: fleet.silence_s }, body))
    else await fleets.create({ id, ...body })
    close()
  }
  return (
    <Dialog title={fleet ? a.device.edit(fleet.name ?? fleet.id) : a.device.createFleet} close={close}>
      <Form form={form} submit={save}>
        {!fleet && <TextField form={form} name="id" label={a.id} value={id} set={setId} autoFocus placeholder="north" />}
        <TextField form={form} name="name" label={a.name} optional value={name} set={setName} />
        <TextField form={form} name="silence_s" label={a.device.silence} hint={a.device.silenceHint} type="number" min={0} value={silence} set={setSilence} />
        <Buttons form={form} submit={fleet ? a.save : a.add} cancel={close} />
      </Form>
    </Dialog>
  )
}
