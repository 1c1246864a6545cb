// Who may sign in, and which programs. For admins of all fleets.

import { useState } from 'react'
import { call } from '../state/api.ts'
import { session } from '../state/session.ts'
import { useSignal, useValue } from '../state/store.ts'
import { Icon } from '../ui/Icon.tsx'
import { newKey } from './api.ts'
import { Buttons, Check, Chips, Confirm, Dialog, Form, Nothing, Segments, SelectField, TextField, useFormState, type FormState } from './forms.tsx'
import { fleetNames, fleets } from './lists.ts'
import { KeyDialog } from './Secret.tsx'
import { useList } from './uselist.ts'
import { m } from '../messages.ts'
import { acting as a } from './words.ts'

type Role = 'viewer' | 'operator' | 'admin'
interface Grant { role: Role, fleets?: string[], all_fleets?: boolean }
interface User extends Grant { name: string, disabled?: boolean }
interface Key extends Grant { id: string, note?: string, created: number, expires?: number, by: string, key?: string }

const ROLES = (['viewer', 'operator', 'admin'] as const).map(r => [r, m.signIn.role[r]] as const)

export function PeoplePage() {
  const who = useValue(session)
  const [tab, setTab] = useState<'users' | 'keys'>('users')
  const open = who.kind === 'in' && who.session.open === true
  return (
    <main className="page acting" aria-label={a.people.title}>
      <div className="sheet-page">
        <header className="page-head"><h1>{a.people.title}</h1>{!open && <Segments label={a.people.title} name="tab" value={tab} set={setTab} options={[['users', a.people.tabs.users], ['keys', a.people.tabs.keys]]} />}</header>
        {open ? <p className="note">{a.people.open}</p> : tab === 'users' ? <Users /> : <Keys />}
      </div>
    </main>
  )
}

function Users() {
  const { list, trouble, read } = useList<User>('/api/users', 'users')
  const [open, setOpen] = useState<User | 'new' | null>(null)
  const [removing, setRemoving] = useState<User | null>(null)
  const who = useValue(session)
  const me = who.kind === 'in' ? who.session.name : ''
  return (
    <>
      <div className="page-tools"><span /><button type="button" className="button primary" onClick={() => setOpen('new')}><Icon name="plus" size={16} />{a.people.createUser}</button></div>
      {trouble !== '' && <p className="trouble" role="alert">{trouble}</p>}
      <table className="grid-table"><tbody>
        {(list ?? []).map(user => (
          <tr key={user.name} data-id={user.name} data-off={user.disabled || undefined}>
            <th scope="row">{user.name}<small>{user.name === me ? a.people.you : ''}{user.disabled ? a.device.shut : ''}</small></th><td>{m.signIn.role[user.role]}</td><td>{reach(user)}</td>
            <td className="tools-row"><button type="button" className="button small" onClick={() => setOpen(user)}>{a.edit}</button><button type="button" className="button small danger" onClick={() => setRemoving(user)}>{a.remove}</button></td>
          </tr>
        ))}
      </tbody></table>
      {open && <UserForm user={open === 'new' ? null : open} close={() => setOpen(null)} done={() => { setOpen(null); void read() }} />}
      {removing && (
        <Confirm title={a.sure(removing.name)} text={a.people.deleteUser(removing.name)} close={() => setRemoving(null)} act={async () => {
          await call('DELETE', `/api/users/${encodeURIComponent(removing.name)}`)
          await read()
        }} />
      )}
    </>
  )
}

function reach(g: Grant): string {
  return g.all_fleets ? a.everyFleet : g.fleets?.join(', ') ?? ''
}

const NAMES = ['name', 'password', 'role', 'fleets', 'note', 'ttl_s'] as const

function UserForm({ user, close, done }: { user: User | null, close(): void, done(): void }) {
  const form = useFormState(NAMES)
  const [name, setName] = useState('')
  const [password, setPassword] = useState('')
  const [grant, setGrant] = useState<Grant>(user ?? { role: 'viewer', all_fleets: true })
  const [disabled, setDisabled] = useState(user?.disabled ?? false)
  const save = async () => {
    if (user) await call('PATCH', `/api/users/${encodeURIComponent(user.name)}`, { ...(password !== '' && { password }), disabled, ...bodyOf(grant) })
    else await call('POST', '/api/users', { name, password, ...bodyOf(grant) }, { 'idempotency-key': newKey() })
    done()
  }
  return (
    <Dialog title={user ? a.people.edit(user.name) : a.people.createUser} close={close}>
      <Form form={form} submit={save}>
        {!user && <TextField form={form} name="name" label={a.name} value={name} set={setName} autoFocus />}
        <TextField form={form} name="password" type="password" label={user ? a.people.newPassword : a.people.password} hint={user ? a.people.newPasswordHint : a.people.passwordHint} value={password} set={setPassword} />
        <GrantFields form={form} grant={grant} set={setGrant} />
        {user && <Check label={a.people.may} value={!disabled} set={on => setDisabled(!on)} />}
        <Buttons form={form} submit={user ? a.save : a.add} cancel={close} />
      </Form>
    </Dialog>
  )
}

function bodyOf(g: Grant): Grant {
  return g.all_fleets ? { role: g.role, all_fleets: true } : { role: g.role, fleets: g.fleets ?? [] }
}

function GrantFields({ form, grant, set }: { form: FormState, grant: Grant, set(grant: Grant): void }) {
  useSignal(fleets)
  return (
    <>
      <SelectField form={form} name="role" label={a.role} hint={a.people.roleHint[grant.role]!} value={grant.role} set={role => set({ ...grant, role })} options={ROLES} />
      <Check label={a.people.allFleets} value={grant.all_fleets ?? false} set={all => set({ ...grant, all_fleets: all })} />
      {!grant.all_fleets && <Chips form={form} name="fleets" label={a.fleets} options={fleetNames()} value={grant.fleets ?? []} set={chosen => set({ ...grant, fleets: chosen })} />}
    </>
  )
}

function Keys() {
  const { list, trouble, read } = useList<Key>('/api/keys', 'keys')
  const [open, setOpen] = useState(false)
  const [made, setMade] = useState('')
  const [removing, setRemoving] = useState<Key | null>(null)
  return (
    <>
      <div className="page-tools"><span /><button type="button" className="button primary" onClick={() => setOpen(true)}><Icon name="plus" size={16} />{a.people.createKey}</button></div>
      {trouble !== '' && <p className="trouble" role="alert">{trouble}</p>}
      {list?.length === 0 ? <Nothing title={a.people.noneKeys} text={a.people.noneKeysText} /> : (
        <table className="grid-table"><tbody>
          {(list ?? []).map(key => (
            <tr key={key.id} data-id={key.id}>
              <th scope="row">{key.note ?? key.id}<small>{a.people.by(key.by)}</small></th><td>{m.signIn.role[key.role]}</td><td>{reach(key)}</td><td>{key.expires ? a.people.expires(new Date(key.expires).toLocaleDateString()) : ''}</td>
              <td className="tools-row"><button type="button" className="button small danger" onClick={() => setRemoving(key)}>{a.remove}</button></td>
            </tr>
          ))}
        </tbody></table>
      )}
      {open && <KeyForm close={() => setOpen(false)} done={token => { setOpen(false); setMade(token); void read() }} />}
      {made !== '' && <KeyDialog token={made} title={a.secret.key} name={a.secret.keyName} hint={a.secret.secretIs} close={() => setMade('')} />}
      {removing && (
        <Confirm title={a.sure(removing.note ?? removing.id)} text={a.people.deleteKey(removing.id)} close={() => setRemoving(null)} act={async () => {
          await call('DELETE', `/api/keys/${encodeURIComponent(removing.id)}`)
          await read()
        }} />
      )}
    </>
  )
}

const TTLS = [0, 86400, 2592000, 31536000].map(s => [String(s), a.people.ttls[s]!] as const)

function KeyForm({ close, done }: { close(): void, done(token: string): void }) {
  const form = useFormState(NAMES)
  const [note, setNote] = useState('')
  const [ttl, setTtl] = useState('0')
  const [grant, setGrant] = useState<Grant>({ role: 'viewer', all_fleets: true })
  const save = async () => {
    const { key = '' } = await call<Key>('POST', '/api/keys', { ...bodyOf(grant), ...(note !== '' && { note }), ...(ttl !== '0' && { ttl_s: Number(ttl) }) }, { 'idempotency-key': newKey() })
    done(key)
  }
  return (
    <Dialog title={a.people.createKey} close={close}>
      <Form form={form} submit={save}>
        <TextField form={form} name="note" label={a.people.note} hint={a.people.noteHint} value={note} set={setNote} autoFocus />
        <GrantFields form={form} grant={grant} set={setGrant} />
        <SelectField form={form} name="ttl_s" label={a.people.until} value={ttl} set={setTtl} options={TTLS} />
        <Buttons form={form} submit={a.people.createKey} cancel={close} />
      </Form>
    </Dialog>
  )
}
