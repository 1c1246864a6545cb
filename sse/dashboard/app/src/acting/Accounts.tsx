// The MQTT accounts that are no device's: of gateways and clients. For admins of all fleets.

import { useState } from 'react'
import { call } from '../state/api.ts'
import { Icon } from '../ui/Icon.tsx'
import { newKey, patchOf } from './api.ts'
import { Buttons, Confirm, Dialog, Field, Form, Nothing, Segments, SelectField, TextField, useFormState } from './forms.tsx'
import type { Account } from './lists.ts'
import { Refused } from './refused.ts'
import { KeyDialog } from './Secret.tsx'
import { parseIds, parseRules, writeRules } from './texts.ts'
import { useList } from './uselist.ts'
import { acting as a } from './words.ts'

const PATH = '/api/credentials'
const KINDS = (['gateway', 'client'] as const).map(kind => [kind, a.account.kinds[kind]!] as const)

type Asked = { what: 'create' } | { what: 'edit' | 'rotate' | 'remove', account: Account } | null

export function Accounts() {
  const { list, trouble, read } = useList<Account>(PATH, 'credentials')
  const [asked, ask] = useState<Asked>(null)
  const [made, setMade] = useState<Account | null>(null)
  const close = () => ask(null)
  const done = (account?: Account) => {
    close()
    void read()
    if (account?.token) setMade(account)
  }
  const of = ({ name }: Account, tail = '') => `${PATH}/${encodeURIComponent(name)}${tail}`
  return (
    <>
      <div className="page-tools"><p className="quiet">{a.account.text}</p>
        <button type="button" className="button primary" onClick={() => ask({ what: 'create' })}><Icon name="plus" size={16} />{a.account.create}</button>
      </div>
      {trouble !== '' && <p className="trouble" role="alert">{trouble}</p>}
      {list?.length === 0 ? <Nothing title={a.account.none} /> : list !== null && (
        <table className="grid-table">
          <thead><tr><th scope="col">{a.account.columns.name}</th><th scope="col">{a.account.columns.kind}</th><th scope="col">{a.account.columns.reach}</th><th scope="col"><span className="unseen">{a.account.columns.actions}</span></th></tr></thead>
          <tbody>
            {list.map(account => (
              <tr key={account.name} data-id={account.name} data-off={account.status === 'disabled' || undefined}>
                <th scope="row">{account.name}{account.status === 'disabled' && <small>{a.device.shut}</small>}</th><td>{a.account.kinds[account.kind]}</td><td>{reach(account)}</td>
                <td className="tools-row">
                  <button type="button" className="button small" onClick={() => ask({ what: 'edit', account })}>{a.edit}</button>
                  <button type="button" className="button small" onClick={() => ask({ what: 'rotate', account })}>{a.device.rotate}</button>
                  <button type="button" className="button small danger" onClick={() => ask({ what: 'remove', account })}>{a.remove}</button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {asked?.what === 'create' && <AccountForm close={close} done={done} />}
      {asked?.what === 'edit' && <AccountForm account={asked.account} close={close} done={done} />}
      {asked?.what === 'rotate' && (
        <Confirm title={a.device.rotate} text={a.device.rotateText(asked.account.name)} label={a.device.rotate} close={close} act={async () => {
          setMade(await call<Account>('POST', of(asked.account, '/credential'), {}))
          await read()
        }} />
      )}
      {asked?.what === 'remove' && (
        <Confirm title={a.sure(asked.account.name)} text={a.account.deleteText(asked.account.name)} close={close} act={async () => {
          await call('DELETE', of(asked.account))
          await read()
        }} />
      )}
      {made?.token && <KeyDialog token={made.token} title={a.secret.account(made.name)} name={a.secret.token} user={made.name} close={() => setMade(null)} />}
    </>
  )
}

function reach({ kind, fleets, rules }: Account): string {
  return kind === 'gateway' ? fleets?.join(', ') ?? '' : writeRules(rules).split('\n').join(', ')
}

const NAMES = ['name', 'kind', 'fleets', 'rules', 'status'] as const

function AccountForm({ account, close, done }: { account?: Account, close(): void, done(account: Account): void }) {
  const form = useFormState(NAMES)
  const [name, setName] = useState('')
  const [kind, setKind] = useState(account?.kind ?? 'gateway')
  const [fleets, setFleets] = useState(account?.fleets?.join(', ') ?? '')
  const [rules, setRules] = useState(() => writeRules(account?.rules))
  const [status, setStatus] = useState(account?.status ?? 'enabled')
  const save = async () => {
    const reaches = kind === 'gateway' ? { fleets: parseIds(fleets) } : { rules: parseRules(rules) }
    if (account) {
      const { status: was, revision } = account
      const patch = patchOf({ ...(kind === 'gateway' ? { fleets: account.fleets } : { rules: account.rules }), status: was }, { ...reaches, status })
      done(await call<Account>('PATCH', `${PATH}/${encodeURIComponent(account.name)}`, patch, revision ? { 'if-match': `"${revision}"` } : {}))
      return
    }
    if (name === '') throw new Refused('name', a.missing)
    done(await call<Account>('POST', PATH, { name, kind, ...reaches, ...(status === 'disabled' && { status }) }, { 'idempotency-key': newKey() }))
  }
  return (
    <Dialog title={account ? a.account.edit(account.name) : a.account.create} close={close}>
      <Form form={form} submit={save}>
        <div className="scroll">
          {!account && <div className="form-field"><span className="label">{a.account.kind}</span><Segments label={a.account.kind} name="kind" value={kind} set={setKind} options={KINDS} /></div>}
          {!account && <TextField form={form} name="name" label={a.name} hint={a.account.nameHint} value={name} set={setName} autoFocus placeholder="lorawan" />}
          {kind === 'gateway' ? <TextField form={form} name="fleets" label={a.fleets} hint={a.account.fleetsHint} value={fleets} set={setFleets} />
            : (
              <Field form={form} name="rules" label={a.account.rules} hint={a.account.rulesHint}>
                {bound => <textarea {...bound} className="field mono" rows={3} spellCheck={false} value={rules} onChange={event => { form.clear('rules'); setRules(event.target.value) }} />}
              </Field>
            )}
          <SelectField form={form} name="status" label={a.device.status} value={status} set={setStatus} options={[['enabled', a.device.enabled], ['disabled', a.device.shut]]} />
        </div>
        <Buttons form={form} submit={account ? a.save : a.add} cancel={close} />
      </Form>
    </Dialog>
  )
}
