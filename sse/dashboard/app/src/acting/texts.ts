// What a person types, and what the gateway keeps of it: numbers that may be left out, notes and topics a line each.

import type { Metadata, TopicRule } from './lists.ts'
import { Refused } from './refused.ts'
import { acting as a } from './words.ts'

export type Texts = Readonly<Record<string, string>>

/** The numbers at paths such as `limits.burst_s`, as texts; '' for what is absent. */
export function textsOf(from: unknown, paths: readonly string[]): Texts {
  return Object.fromEntries(paths.map(path => {
    const value = path.split('.').reduce<unknown>((at, name) => (at as Record<string, unknown> | undefined)?.[name], from)
    return [path, typeof value === 'number' ? String(value) : '']
  }))
}

/** The other way: members without a number are absent, and so is what holds none. */
export function numbersOf(texts: Texts): Record<string, unknown> {
  const out: Record<string, unknown> = {}
  for (const [path, text] of Object.entries(texts)) {
    if (text.trim() === '') continue
    const value = Number(text.trim().replace(',', '.'))
    if (!Number.isFinite(value)) throw new Refused(path, a.rule.notNumber)
    const names = path.split('.')
    const last = names.pop()!
    const holder = names.reduce((at, name) => (at[name] ??= {}) as Record<string, unknown>, out)
    holder[last] = value
  }
  return out
}

/** Where a fleet's devices can be, as west, south, east, north; '' for everywhere. */
export function writeBox(box: unknown): string {
  return Array.isArray(box) ? box.join(', ') : ''
}

/** null for everywhere. What is no place is the gateway's to refuse. */
export function parseBox(text: string): number[] | null {
  if (text.trim() === '') return null
  const box = text.trim().split(/\s*[,;]\s*|\s+/).map(Number)
  if (box.length !== 4 || !box.every(Number.isFinite)) throw new Refused('hygiene.bbox', a.hygiene.badBox)
  return box
}

export function writeMetadata(metadata: Metadata | undefined): string {
  return Object.entries(metadata ?? {}).map(([name, value]) => `${name} = ${value}`).join('\n')
}

export function parseMetadata(text: string): Metadata | undefined {
  const entries = lines(text).map(([line, n]) => {
    const at = line.indexOf('=')
    if (at <= 0) throw new Refused('metadata', a.metadata.bad(n))
    return [line.slice(0, at).trim(), line.slice(at + 1).trim()] as const
  })
  return entries.length > 0 ? Object.fromEntries(entries) : undefined
}

export function writeRules(rules: readonly TopicRule[] | undefined): string {
  return (rules ?? []).map(({ filter, publish, subscribe }) => `${publish ? 'pub' : ''}${subscribe ? 'sub' : ''} ${filter}`).join('\n')
}

export function parseRules(text: string): TopicRule[] {
  return lines(text).map(([line, n]) => {
    const [, publish, subscribe, filter] = /^(pub)?(sub)?\s+(\S.*)$/.exec(line) ?? []
    if (filter === undefined || (!publish && !subscribe)) throw new Refused('rules', a.account.badRule(n))
    return { filter, ...(publish && { publish: true }), ...(subscribe && { subscribe: true }) }
  })
}

export function parseIds(text: string): string[] {
  return text.split(/[\s,]+/).filter(id => id !== '')
}

function lines(text: string): [line: string, number: number][] {
  return text.split('\n').map((line, i) => [line.trim(), i + 1] as [string, number]).filter(([line]) => line !== '')
}
