// The colours that are drawn rather than styled: of the map and of what lies on it. Those of the interface are in
// styles/tokens.css; status and severity agree with them.

import type { Status } from '../state/fleet.ts'

export interface Palette {
  water: string
  shelf: string // the sea near the coast
  land: string
  coast: string
  border: string
  grid: string
  country: string
  city: string
  halo: string
  road: string
  roadMajor: string
  park: string
  building: string
  status: Record<Status, string>
  severity: [string, string, string] // info, warning, critical
  pinEdge: string
  old: string
  bubble: string
  bubbleText: string
  tag: string
  tagText: string
  label: string
  labelHalo: string
  accent: string
}

export const LIGHT: Palette = {
  water: '#d3e0ea', shelf: '#dfe9f1', land: '#f7f7f4', coast: '#b4c4d1', border: '#cdd2d6', grid: '#8fa3b3',
  country: '#6d7a86', city: '#56626d', halo: '#f7f7f4', road: '#ffffff', roadMajor: '#f2dfb4', park: '#e3eddc', building: '#e9e8e4',
  status: { online: '#0f9d58', offline: '#76828e', unknown: '#c98a00' }, severity: ['#2f6fed', '#e8710a', '#dc2f45'],
  pinEdge: '#ffffff', old: '#8a95a0', bubble: '#ffffff', bubbleText: '#17212b', tag: '#17212b', tagText: '#ffffff',
  label: '#2a3540', labelHalo: 'rgba(255,255,255,.92)', accent: '#2f5de0',
}

export const DARK: Palette = {
  water: '#0b1219', shelf: '#0e1720', land: '#18212a', coast: '#2d3b48', border: '#2c3742', grid: '#5d7183',
  country: '#7d8b98', city: '#94a2ae', halo: '#141c24', road: '#25303b', roadMajor: '#35424f', park: '#18261f', building: '#1d2731',
  status: { online: '#34d27b', offline: '#76848f', unknown: '#e9ae2c' }, severity: ['#6ea0ff', '#ff9a3d', '#ff5d6c'],
  pinEdge: '#0b1219', old: '#6d7a86', bubble: '#202b36', bubbleText: '#eef3f7', tag: '#eef3f7', tagText: '#10171e',
  label: '#d5dee6', labelHalo: 'rgba(11,18,25,.9)', accent: '#7ea2ff',
}
