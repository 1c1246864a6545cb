// The frame: navigation, the panel beside the map or the page in its place, the map, what lies above it.

import { Suspense, useEffect } from 'react'
import { few } from '../format.ts'
import { m } from '../messages.ts'
import { ASSET_SECTIONS } from '../state/app.ts'
import { alerts, announcement, selected, streamState } from '../state/live.ts'
import { theme, type Theme } from '../state/prefs.ts'
import { hrefOf, route } from '../state/route.ts'
import { session, signOut } from '../state/session.ts'
import { useSignal, useValue } from '../state/store.ts'
import { Icon, type IconName } from '../ui/Icon.tsx'
import { Menu } from '../ui/Menu.tsx'
import { Details } from './Details.tsx'
import { Empty } from './Empty.tsx'
import { Freshness, StaleBanner } from './Freshness.tsx'
import { MapView } from './MapView.tsx'
import { isFor, sectionOf, SECTIONS, type Section } from './registry.ts'
import { SignIn } from './SignIn.tsx'

const MOST_COUNTED = 99 // in the badge, which must leave the bell to be seen

export function Shell() {
  const { name } = useValue(route)
  const section = sectionOf(name)
  const chosen = useValue(selected)
  const who = useValue(session)
  const Open = section.component
  useTitle()
  const news = useValue(announcement)
  if (who.kind === 'out') return <SignIn />
  return (
    <div className="shell" data-kind={section.kind} data-chosen={chosen !== '' || undefined}>
      <p className="unseen" role="status">{news}</p>
      <Rail section={section} />
      <main className="stage">
        <MapView hidden={section.kind === 'page'} />
        <div className="above">
          <Freshness />
          <StaleBanner />
        </div>
        <Empty />
        {chosen !== '' && ASSET_SECTIONS.includes(section.name) && <Details key={chosen} id={chosen} />}
      </main>
      <Suspense fallback={<section className={section.kind} aria-busy="true" />}><Open /></Suspense>
    </div>
  )
}

function Rail({ section }: { section: Section }) {
  useSignal(alerts)
  const chosen = useValue(selected)
  const { raised, worst } = alerts.counts()
  return (
    <nav className="rail" aria-label={m.nav.main}>
      <a className="brand" href={hrefOf('map')} aria-label={m.product}><Mark /></a>
      <ul>
        {SECTIONS.filter(isFor).map(s => (
          <li key={s.name}>
            <a href={hrefOf(s.name, ASSET_SECTIONS.includes(s.name) ? chosen : '')} aria-current={s === section ? 'page' : undefined} title={s.title}>
              <Icon name={s.icon} size={22} /><span>{s.title}</span>
              {s.name === 'alerts' && raised > 0 && <b className={`count ${worst}`} aria-label={m.alerts.count(few(raised))}>{raised > MOST_COUNTED ? `${MOST_COUNTED}+` : raised}</b>}
            </a>
          </li>
        ))}
      </ul>
      <AccountMenu />
    </nav>
  )
}

const THEMES: [Theme, IconName][] = [['auto', 'auto'], ['light', 'sun'], ['dark', 'moon']]

function AccountMenu() {
  const who = useValue(session)
  const wanted = useValue(theme)
  return (
    <Menu label={m.nav.menu} icon="user">
      {who.kind === 'in' && (
        <p className="who">{who.session.open ? m.signIn.open : <>{m.signIn.as(who.session.name)}<small>{m.signIn.role[who.session.role]}</small></>}</p>
      )}
      <div className="segments" role="group" aria-label={m.theme.title}>
        {THEMES.map(([name, icon]) => (
          <button key={name} type="button" aria-pressed={wanted === name} onClick={() => theme.set(name)}><Icon name={icon} size={16} />{m.theme[name]}</button>
        ))}
      </div>
      <a className="item" href="/api/docs"><Icon name="key" size={18} />{m.nav.docs}</a>
      {who.kind === 'in' && !who.session.open && (
        <button type="button" className="item" onClick={() => { void signOut() }}><Icon name="out" size={18} />{m.signIn.out}</button>
      )}
    </Menu>
  )
}

// The title says what a tab in the background has to say: how many alerts wait, and that the stream is lost.
function useTitle(): void {
  useSignal(alerts)
  const state = useValue(streamState)
  const { raised } = alerts.counts()
  useEffect(() => {
    const lost = state === 'offline' ? `${m.freshness.offline} · ` : ''
    document.title = `${raised > 0 ? `(${few(raised)}) ` : ''}${lost}${m.product}`
  }, [raised, state])
}

export function Mark() {
  return (
    <svg className="mark" viewBox="0 0 32 32" width="32" height="32" aria-hidden="true">
      <rect width="32" height="32" rx="9" />
      <path d="M16 6.5 23.5 25 16 20.8 8.5 25z" />
    </svg>
  )
}
