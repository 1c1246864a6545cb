// What there is to open from the navigation. A panel stands beside the map; a page takes its place. Whoever adds one
// adds a line here and a file beside it; `role` hides it from those who may not use it.

import { lazy, type ComponentType } from 'react'
import { m } from '../messages.ts'
import { may, seesAll, type Role } from '../state/session.ts'
import type { IconName } from '../ui/Icon.tsx'
import { AlertsPanel } from './Alerts.tsx'
import { Board } from './Board.tsx'

export interface Section {
  name: string // behind '#/'
  title: string
  icon: IconName
  kind: 'panel' | 'page'
  role: Role
  all?: true // only for those of every fleet
  component: ComponentType
}

export const SECTIONS: Section[] = [
  { name: 'map', title: m.nav.map, icon: 'map', kind: 'panel', role: 'viewer', component: Board },
  { name: 'alerts', title: m.nav.alerts, icon: 'bell', kind: 'panel', role: 'viewer', component: AlertsPanel },
  { name: 'fences', title: m.acting.fence.title, icon: 'fence', kind: 'panel', role: 'operator', component: lazy(async () => ({ default: (await import('../acting/Fences.tsx')).FencesPanel })) },
  { name: 'rules', title: m.acting.rule.title, icon: 'rules', kind: 'panel', role: 'operator', component: lazy(async () => ({ default: (await import('../acting/Rules.tsx')).RulesPanel })) },
  { name: 'devices', title: m.acting.device.title, icon: 'device', kind: 'page', role: 'admin', component: lazy(async () => ({ default: (await import('../acting/Devices.tsx')).DevicesPage })) },
  { name: 'people', title: m.acting.people.title, icon: 'people', kind: 'page', role: 'admin', all: true, component: lazy(async () => ({ default: (await import('../acting/People.tsx')).PeoplePage })) },
  { name: 'webhooks', title: m.acting.hook.title, icon: 'hook', kind: 'page', role: 'admin', all: true, component: lazy(async () => ({ default: (await import('../acting/Webhooks.tsx')).WebhooksPage })) },
]

/** Whether this person sees it in the navigation, and may go there. */
export function isFor(section: Section): boolean {
  return (section.role === 'viewer' || may(section.role)) && (!section.all || seesAll())
}

export function sectionOf(name: string): Section {
  return SECTIONS.find(section => section.name === name && isFor(section)) ?? SECTIONS[0]!
}

