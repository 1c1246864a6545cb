// Devices and fleets as they are registered, and those that wait to be let in.

import { useEffect, useRef, useState } from 'react'
import { age, few } from '../format.ts'
import { m } from '../messages.ts'
import { call } from '../state/api.ts'
import { clock, fleet as live, look } from '../state/live.ts'
import { hrefOf } from '../state/route.ts'
import { may, seesAll } from '../state/session.ts'
import { useSignal } from '../state/store.ts'
import { Icon } from '../ui/Icon.tsx'
import { Accounts } from './Accounts.tsx'
import { wordsOf } from './api.ts'
import { DeviceForm, FleetForm } from './DeviceForms.tsx'
import { Confirm, Nothing, Segments } from './forms.tsx'
import { fleets, type DeviceItem, type FleetItem } from './lists.ts'
import { SecretDialog, type DeviceSecret } from './Secret.tsx'
import { Waiting } from './Waiting.tsx'
import { acting as a } from './words.ts'

const PAGE = 100
const TYPING = 250

type Tab = 'devices' | 'fleets' | 'accounts' | 'waiting'

export function DevicesPage() {
  const [tab, setTab] = useState<Tab>('devices')
  const [secret, setSecret] = useState<DeviceSecret | null>(null)
  const tabs: (readonly [Tab, string])[] = [['devices', a.device.tabs.devices], ['fleets', a.device.tabs.fleets]]
  if (may('admin') && seesAll()) tabs.push(['accounts', a.device.tabs.accounts], ['waiting', a.device.tabs.waiting])
  return (
    <main className="page acting" aria-label={a.device.title}>
      <div className="sheet-page">
        <header className="page-head"><h1>{a.device.title}</h1><Segments label={a.device.title} name="tab" value={tab} set={setTab} options={tabs} /></header>
        {tab === 'devices' ? <Devices told={setSecret} /> : tab === 'fleets' ? <Fleets /> : tab === 'accounts' ? <Accounts /> : <Waiting told={setSecret} />}
      </div>
      {secret && <SecretDialog secret={secret} close={() => setSecret(null)} />}
    </main>
  )
}

interface Page { devices: DeviceItem[], next: string, trouble: string, loading: boolean }

// The list is the server's: an installation may have a hundred thousand.
function useDevices(search: string, of: string) {
  const [page, setPage] = useState<Page>({ devices: [], next: '', trouble: '', loading: true })
  const asked = useRef(0)
  const read = async (after: string) => {
    const mine = ++asked.current
    const query = new URLSearchParams({ limit: String(PAGE), ...(search !== '' && { search }), ...(of !== '' && { fleet: of }), ...(after !== '' && { after }) })
    try {
      const answer = await call<{ devices: DeviceItem[], next?: string }>('GET', `/api/devices?${query}`)
      if (mine !== asked.current) return
      setPage(old => ({ devices: after === '' ? answer.devices : [...old.devices, ...answer.devices], next: answer.next ?? '', trouble: '', loading: false }))
    } catch (error) {
      if (mine === asked.current) setPage(old => ({ ...old, trouble: wordsOf(error), loading: false }))
    }
  }
  useEffect(() => {
    const timer = setTimeout(() => { void read('') }, search === '' ? 0 : TYPING)
    return () => clearTimeout(timer)
    // oxlint-disable-next-line react/exhaustive-deps -- read is another function each time, and reads what search and of say
  }, [search, of])
  return { page, again: () => read(''), more: () => read(page.next) }
}

type Asked = { what: 'edit' | 'rotate' | 'remove', device: DeviceItem } | { what: 'create' } | null

function Devices({ told }: { told(secret: DeviceSecret): void }) {
  useSignal(look)
  useSignal(fleets)
  const [search, setSearch] = useState('')
  const [of, setOf] = useState('')
  const [asked, ask] = useState<Asked>(null)
  const { page, again, more } = useDevices(search, of)
  useEffect(() => { void fleets.load(true) }, [])
  const close = () => ask(null)
  const admin = may('admin')
  return (
    <>
      <div className="page-tools">
        <div className="search"><Icon name="search" size={18} /><input type="search" value={search} placeholder={a.device.search} aria-label={a.device.search} onChange={event => setSearch(event.target.value)} /></div>
        <label className="select"><span className="quiet">{a.fleet}</span>
          <select value={of} onChange={event => setOf(event.target.value)}><option value="">{a.allFleets}</option>{fleets.items.map(f => <option key={f.id} value={f.id}>{f.name ?? f.id}</option>)}</select><Icon name="chevron" size={16} />
        </label>
        {admin && <button type="button" className="button primary" onClick={() => ask({ what: 'create' })}><Icon name="plus" size={16} />{a.device.create}</button>}
      </div>
      {page.trouble !== '' && <p className="trouble" role="alert">{page.trouble}</p>}
      {page.devices.length === 0 ? !page.loading && page.trouble === '' && <Nothing title={search === '' && of === '' ? a.device.none : a.device.noneMatch} {...(search === '' && of === '' && { text: a.device.noneText })} /> : (
        <table className="grid-table">
          <thead><tr><th scope="col">{a.device.columns.device}</th><th scope="col">{a.device.columns.fleet}</th><th scope="col">{a.device.columns.heard}</th><th scope="col">{a.device.columns.sign}</th>{admin && <th scope="col"><span className="unseen">{a.device.columns.actions}</span></th>}</tr></thead>
          <tbody>
            {page.devices.map(device => (
              <tr key={device.id} data-id={device.id} data-off={device.status === 'disabled' || undefined}>
                <th scope="row"><Heard id={device.id} dot /><a href={hrefOf('map', device.id)}>{device.name ?? device.id}</a><small>{[device.name && device.id, device.auto && a.device.auto, device.status === 'disabled' && a.device.shut].filter(Boolean).join(' · ')}</small></th>
                <td>{device.fleet}</td><td><Heard id={device.id} /></td><td>{a.device.credential[device.credential] ?? device.credential}</td>
                {admin && (
                  <td className="tools-row">
                    <button type="button" className="button small" onClick={() => ask({ what: 'edit', device })}>{a.edit}</button>
                    <button type="button" className="button small" onClick={() => ask({ what: 'rotate', device })}>{a.device.rotate}</button>
                    <button type="button" className="button small danger" onClick={() => ask({ what: 'remove', device })}>{a.remove}</button>
                  </td>
                )}
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {page.next !== '' && <button type="button" className="button" onClick={() => { void more() }}>{a.more}</button>}
      {asked?.what === 'create' && <DeviceForm close={close} done={made => { close(); void again(); told(made!) }} />}
      {asked?.what === 'edit' && <DeviceForm device={asked.device} close={close} done={() => { close(); void again() }} />}
      {asked?.what === 'rotate' && (
        <Confirm title={a.device.rotate} text={a.device.rotateText(asked.device.id)} label={a.device.rotate} close={close} act={async () => {
          told(await call<DeviceSecret>('POST', `/api/devices/${encodeURIComponent(asked.device.id)}/credential`, {}))
          await again()
        }} />
      )}
      {asked?.what === 'remove' && (
        <Confirm title={a.sure(asked.device.id)} text={a.device.deleteText(asked.device.id)} close={close} act={async () => {
          await call('DELETE', `/api/devices/${encodeURIComponent(asked.device.id)}`)
          await again()
        }} />
      )}
    </>
  )
}

function Heard({ id, dot = false }: { id: string, dot?: boolean }) {
  const entry = live.get(id)
  if (dot) return <span className={`dot ${entry?.status ?? 'unknown'}`} role="img" aria-label={m.status[entry?.status ?? 'unknown']} />
  return <>{entry ? m.details.ago(age(clock.now() - entry.asset.received)) : a.device.never}</>
}

function Fleets() {
  useSignal(fleets)
  const [open, setOpen] = useState<FleetItem | 'new' | null>(null)
  const [removing, setRemoving] = useState<FleetItem | null>(null)
  const ruler = may('admin') && seesAll()
  useEffect(() => { void fleets.load(true) }, [])
  return (
    <>
      <div className="page-tools"><span />{ruler && <button type="button" className="button primary" onClick={() => setOpen('new')}><Icon name="plus" size={16} />{a.device.createFleet}</button>}</div>
      {fleets.items.length === 0 ? <Nothing title={fleets.state === 'failed' ? fleets.trouble : a.noFleets} /> : (
        <table className="grid-table"><tbody>
          {fleets.items.map(f => (
            <tr key={f.id} data-id={f.id}>
              <th scope="row">{f.name ?? f.id}<small>{f.name ? f.id : ''}</small></th><td>{a.device.fleetDevices(few(f.devices))}</td>
              <td className="tools-row">
                {may('admin') && <button type="button" className="button small" onClick={() => setOpen(f)}>{a.edit}</button>}
                {ruler && <button type="button" className="button small danger" onClick={() => setRemoving(f)}>{a.remove}</button>}
              </td>
            </tr>
          ))}
        </tbody></table>
      )}
      {open && <FleetForm fleet={open === 'new' ? null : open} close={() => setOpen(null)} />}
      {removing && <Confirm title={a.sure(removing.id)} text={a.device.deleteFleet(removing.id)} act={() => fleets.remove(removing)} close={() => setRemoving(null)} />}
    </>
  )
}
