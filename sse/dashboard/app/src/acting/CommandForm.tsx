// Tells one device to do something. What becomes of it stands in the list of its commands.

import { useState } from 'react'
import { call } from '../state/api.ts'
import { commands } from '../state/live.ts'
import { useSignal } from '../state/store.ts'
import { newKey } from './api.ts'
import { Icon } from '../ui/Icon.tsx'
import { Buttons, Dialog, Field, Form, SelectField, TextField, useFormState } from './forms.tsx'
import { Refused } from './refused.ts'
import { acting as a } from './words.ts'

const NAMES = ['name', 'params', 'ttl'] as const
const TTLS = [60, 600, 3600, 86400, 604800].map(s => [String(s), a.command.ttls[s]!] as const)
const REMEMBERED = 6

export function CommandButton({ id }: { id: string }) {
  const [open, setOpen] = useState(false)
  return (
    <>
      <button type="button" className="button" onClick={() => setOpen(true)}><Icon name="send" size={16} />{a.command.title}</button>
      {open && <CommandForm id={id} close={() => setOpen(false)} />}
    </>
  )
}

function CommandForm({ id, close }: { id: string, close(): void }) {
  useSignal(commands)
  const form = useFormState(NAMES)
  const before = [...new Set([...commands.byId.values()].sort((x, y) => y.accepted - x.accepted).map(c => c.name))].slice(0, REMEMBERED)
  const [name, setName] = useState('')
  const [params, setParams] = useState('')
  const [ttl, setTtl] = useState('60')
  const send = async () => {
    let parsed: unknown
    try {
      parsed = params.trim() === '' ? undefined : JSON.parse(params)
    } catch {
      throw new Refused('params', a.command.notJson)
    }
    const body = { name, ...(parsed !== undefined && { params: parsed }), ttl: Number(ttl) }
    commands.step(await call('POST', `/api/devices/${encodeURIComponent(id)}/commands`, body, { 'idempotency-key': newKey() }))
    close()
  }
  return (
    <Dialog title={`${a.command.title} · ${id}`} close={close}>
      <Form form={form} submit={send}>
        <TextField form={form} name="name" label={a.command.name} hint={a.command.nameHint} value={name} set={setName} autoFocus list="commands-before" />
        <datalist id="commands-before">{before.map(one => <option key={one} value={one} />)}</datalist>
        <Field form={form} name="params" label={a.command.params} hint={a.command.paramsHint} optional>
          {bound => <textarea {...bound} className="field mono" rows={4} spellCheck={false} value={params} onChange={event => { form.clear('params'); setParams(event.target.value) }} />}
        </Field>
        <SelectField form={form} name="ttl" label={a.command.ttl} hint={a.command.ttlHint} value={ttl} set={setTtl} options={TTLS} />
        <Buttons form={form} submit={a.command.send} busy={a.command.sending} cancel={close} />
      </Form>
    </Dialog>
  )
}
