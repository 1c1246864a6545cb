// Webhooks: addresses that are told of alerts and commands. For admins of all fleets.

import { useEffect, useState } from 'react'
import { age, few, number } from '../format.ts'
import { call } from '../state/api.ts'
import { clock } from '../state/live.ts'
import { useSignal } from '../state/store.ts'
import { Icon } from '../ui/Icon.tsx'
import { patchOf, wordsOf } from './api.ts'
import { Buttons, Chips, Confirm, Dialog, Form, Nothing, TextField, useFormState } from './forms.tsx'
import { fleetNames, fleets, webhooks, type Webhook } from './lists.ts'
import { Refused } from './refused.ts'
import { KeyDialog } from './Secret.tsx'
import { acting as a } from './words.ts'

const AGAIN = 10_000 // how a delivery went is asked for; the stream does not tell

type Asked = { what: 'create' } | { what: 'edit' | 'secret' | 'remove', hook: Webhook } | null

export function WebhooksPage() {
  useSignal(webhooks)
  const [asked, ask] = useState<Asked>(null)
  const [secret, setSecret] = useState('')
  const close = () => ask(null)
  useEffect(() => {
    void webhooks.load(true)
    void fleets.load()
    const timer = setInterval(() => { if (!document.hidden) void webhooks.load(true) }, AGAIN)
    return () => clearInterval(timer)
  }, [])
  const told = (answer: unknown) => setSecret((answer as Webhook | undefined)?.secret ?? '')
  return (
    <main className="page acting" aria-label={a.hook.title}>
      <div className="sheet-page">
        <header className="page-head"><h1>{a.hook.title}</h1>
          <button type="button" className="button primary" onClick={() => ask({ what: 'create' })}><Icon name="plus" size={16} />{a.hook.create}</button>
        </header>
        {webhooks.state === 'failed' ? <Nothing title={a.unreadable} text={webhooks.trouble} />
          : webhooks.items.length === 0 ? webhooks.state === 'ready' && <Nothing title={a.hook.none} text={a.hook.noneText} />
            : (
              <table className="grid-table">
                <thead><tr><th scope="col">{a.hook.columns.url}</th><th scope="col">{a.hook.columns.state}</th><th scope="col">{a.hook.columns.on}</th><th scope="col"><span className="unseen">{a.hook.columns.actions}</span></th></tr></thead>
                <tbody>{webhooks.items.map(hook => <Row key={hook.id} hook={hook} ask={what => ask({ what, hook })} />)}</tbody>
              </table>
            )}
      </div>
      {asked?.what === 'create' && <WebhookForm close={close} done={told} />}
      {asked?.what === 'edit' && <WebhookForm hook={asked.hook} close={close} done={told} renew={() => ask({ what: 'secret', hook: asked.hook })} />}
      {asked?.what === 'secret' && <Confirm title={a.hook.newSecret} text={a.hook.newSecretText} label={a.hook.newSecret} close={close} act={async () => told(await webhooks.change(asked.hook, { secret: null }))} />}
      {asked?.what === 'remove' && <Confirm title={a.sure(asked.hook.url)} text={a.hook.deleteText} close={close} act={async () => { await webhooks.remove(asked.hook) }} />}
      {secret !== '' && <KeyDialog token={secret} title={a.hook.secret} name={a.hook.secretName} hint={a.hook.secretIs} close={() => setSecret('')} />}
    </main>
  )
}

interface Tried { delivered: boolean, status?: number, error?: string, took_ms: number }

function Row({ hook, ask }: { hook: Webhook, ask(what: 'edit' | 'remove'): void }) {
  const [busy, setBusy] = useState(false)
  const [result, setResult] = useState('')
  const run = async (act: () => Promise<string>) => {
    setBusy(true)
    setResult('')
    try {
      setResult(await act())
    } catch (error) {
      setResult(wordsOf(error))
    } finally {
      setBusy(false)
    }
  }
  const test = () => run(async () => {
    const { delivered, status, error, took_ms: took } = await call<Tried>('POST', `/api/webhooks/${encodeURIComponent(hook.id)}/test`)
    return delivered ? a.hook.tested(String(status), number(took)) : a.hook.notTested(error ?? a.hook.answered(status ?? 0))
  })
  const toggle = () => run(async () => {
    await webhooks.change(hook, { disabled: hook.disabled ? null : true })
    return ''
  })
  return (
    <tr data-id={hook.id} data-off={hook.disabled || undefined}>
      <th scope="row">{hook.url}<small>{[hook.events.map(e => a.hook.event[e] ?? e).join(', '), hook.fleets?.join(', ') ?? a.everyFleet].join(' · ')}</small></th>
      <td><State hook={hook} />{result !== '' && <p className="result" role="status">{result}</p>}</td>
      <td><button type="button" className="switch" role="switch" aria-checked={!hook.disabled} aria-label={a.hook.toggle(hook.url)} disabled={busy} onClick={() => { void toggle() }}><i /></button></td>
      <td className="tools-row">
        <button type="button" className="button small" disabled={busy} onClick={() => { void test() }}>{busy ? a.hook.testing : a.hook.test}</button>
        <button type="button" className="button small" onClick={() => ask('edit')}>{a.edit}</button>
        <button type="button" className="button small danger" onClick={() => ask('remove')}>{a.remove}</button>
      </td>
    </tr>
  )
}

function State({ hook: { status, reason } }: { hook: Webhook }) {
  const ago = (at: number) => age(clock.now() - at)
  const more = [
    status.state === 'failing' && status.failing_since && a.hook.since(ago(status.failing_since)),
    status.state === 'ok' && status.delivered_at && a.hook.last(ago(status.delivered_at)),
    status.last_error, reason, status.dropped > 0 && a.hook.dropped(few(status.dropped)),
  ].filter(Boolean).join(' · ')
  return <><span className="badge" data-state={status.state}>{a.hook.state[status.state] ?? status.state}</span>{more !== '' && <small className="more">{more}</small>}</>
}

const NAMES = ['url', 'events', 'fleets'] as const

function WebhookForm({ hook, close, done, renew }: { hook?: Webhook, close(): void, done(answer: unknown): void, renew?(): void }) {
  useSignal(fleets)
  const form = useFormState(NAMES)
  const [url, setUrl] = useState(hook?.url ?? '')
  const [events, setEvents] = useState<readonly string[]>(hook?.events ?? ['alert'])
  const [of, setOf] = useState<readonly string[]>(hook?.fleets ?? [])
  const save = async () => {
    if (events.length === 0) throw new Refused('events', a.hook.noEvent)
    const body = { url: url.trim(), events, ...(of.length > 0 && { fleets: of }) }
    done(hook ? await webhooks.change(hook, patchOf({ url: hook.url, events: hook.events, fleets: hook.fleets }, body)) : await webhooks.create(body))
    close()
  }
  return (
    <Dialog title={hook ? a.hook.edit : a.hook.create} close={close}>
      <Form form={form} submit={save}>
        <TextField form={form} name="url" label={a.hook.url} hint={a.hook.urlHint} type="url" value={url} set={setUrl} autoFocus placeholder="https://hooks.example.org/fleet" />
        <Chips form={form} name="events" label={a.hook.events} options={['alert', 'command']} names={a.hook.event} value={events} set={setEvents} />
        <Chips form={form} name="fleets" label={a.fleets} hint={a.hook.fleetsHint} options={fleetNames()} value={of} set={setOf} />
        {renew && <div className="tools-row"><button type="button" className="button small" onClick={renew}>{a.hook.newSecret}</button></div>}
        <Buttons form={form} submit={hook ? a.save : a.add} cancel={close} />
      </Form>
    </Dialog>
  )
}
