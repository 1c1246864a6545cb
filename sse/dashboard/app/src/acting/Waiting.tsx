// Devices that nobody registered and that want in.

import { useEffect, useState } from 'react'
import { age } from '../format.ts'
import { m } from '../messages.ts'
import { call } from '../state/api.ts'
import { clock } from '../state/live.ts'
import { readAll, wordsOf } from './api.ts'
import { Buttons, Confirm, Dialog, Form, Nothing, TextField, useFormState } from './forms.tsx'
import { fleetNames, type Stranger } from './lists.ts'
import type { DeviceSecret } from './Secret.tsx'
import { acting as a } from './words.ts'

export function Waiting({ told }: { told(secret: DeviceSecret): void }) {
  const [list, setList] = useState<Stranger[] | null>(null)
  const [trouble, setTrouble] = useState('')
  const [letting, setLetting] = useState<Stranger | null>(null)
  const [refusing, setRefusing] = useState<Stranger | null>(null)
  const read = () => readAll<Stranger>('/api/devices?status=quarantined', 'devices').then(setList, (error: unknown) => setTrouble(wordsOf(error)))
  useEffect(() => { void read() }, [])
  if (trouble !== '') return <p className="trouble" role="alert">{trouble}</p>
  if (list?.length === 0) return <Nothing title={a.device.waitingNone} text={a.device.waitingText} />
  return (
    <>
      <table className="grid-table"><tbody>
        {(list ?? []).map(stranger => (
          <tr key={stranger.id} data-id={stranger.id}>
            <th scope="row">{stranger.id}<small>{stranger.address}</small></th><td>{stranger.fleet}</td><td>{m.details.ago(age(clock.now() - stranger.seen))}</td>
            <td className="tools-row">
              <button type="button" className="button small" onClick={() => setLetting(stranger)}>{a.device.approve}</button>
              <button type="button" className="button small danger" onClick={() => setRefusing(stranger)}>{a.device.reject}</button>
            </td>
          </tr>
        ))}
      </tbody></table>
      {letting && <LetIn stranger={letting} close={() => setLetting(null)} done={secret => { setLetting(null); void read(); if (secret.token) told(secret) }} />}
      {refusing && (
        <Confirm title={`${a.device.reject} ${refusing.id}?`} text={a.device.waitingText} label={a.device.reject} close={() => setRefusing(null)} act={async () => {
          await call('DELETE', `/api/devices/${encodeURIComponent(refusing.id)}?status=quarantined`)
          await read()
        }} />
      )}
    </>
  )
}

function LetIn({ stranger, close, done }: { stranger: Stranger, close(): void, done(secret: DeviceSecret): void }) {
  const form = useFormState(['fleet'])
  const [fleet, setFleet] = useState(stranger.fleet ?? fleetNames()[0] ?? '')
  return (
    <Dialog title={`${a.device.approve} · ${stranger.id}`} close={close}>
      <Form form={form} submit={async () => done(await call<DeviceSecret>('POST', `/api/devices/${encodeURIComponent(stranger.id)}/approve`, { fleet, keep_password: stranger.has_password }))}>
        <TextField form={form} name="fleet" label={a.device.approveInto} value={fleet} set={setFleet} autoFocus />
        <Buttons form={form} submit={a.device.approve} cancel={close} />
      </Form>
    </Dialog>
  )
}
