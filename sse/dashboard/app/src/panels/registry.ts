// What there is to open from the navigation. A panel stands beside the map; a page takes its place. Whoever adds one
// adds a line here and a file beside it; `role` hides it from those who may not use it.

import type { ComponentType } from 'react'
import { m } from '../messages.ts'
import type { Role } from '../state/session.ts'
import type { IconName } from '../ui/Icon.tsx'
import { AlertsPanel } from './Alerts.tsx'
import { Board } from './Board.tsx'

export interface Section {
  name: string // behind '#/'
  title: string
  icon: IconName
  kind: 'panel' | 'page'
  role: Role
  component: ComponentType
}

export const SECTIONS: Section[] = [
  { name: 'map', title: m.nav.map, icon: 'map', kind: 'panel', role: 'viewer', component: Board },
  { name: 'alerts', title: m.nav.alerts, icon: 'bell', kind: 'panel', role: 'viewer', component: AlertsPanel },
]

export function sectionOf(name: string): Section {
  return SECTIONS.find(section => section.name === name) ?? SECTIONS[0]!
}

