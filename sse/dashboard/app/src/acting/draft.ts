// A rule as it stands in the form, and back. Texts, in the person's units, so that nothing is lost while they type.

import { patchOf } from './api.ts'
import type { Condition, ConditionType, Rule } from './lists.ts'
import { Refused } from './refused.ts'
import { fromBase, splitSeconds, toBase, unitsOf } from '../units.ts'
import { acting as a } from './words.ts'

/** What stands in the form: texts, in the person's units. */
export interface Draft {
  name: string, severity: 'info' | 'warning' | 'critical', type: ConditionType
  field: string, metric: string, unit: number, side: 'above' | 'below', limit: string, back: string
  fence: string, on: string, margin: string, expression: string
  hold: string, holdUnit: string, fleets: string[], devices: string
}

export function draftOf(rule: Rule | null): Draft {
  const when: Partial<Condition> = rule?.when ?? {}
  const isMetric = when.field?.startsWith('metrics.') ?? false
  const field = isMetric ? 'metric' : when.field ?? 'speed'
  const unit = unitsOf(field)[0]!
  const show = (value: number | undefined) => value === undefined || value === 0 ? '' : String(fromBase(value, unit))
  const held = splitSeconds(rule?.for_s ?? 0)
  return {
    name: rule?.name ?? '', severity: rule?.severity ?? 'warning', type: when.type ?? 'threshold',
    field, metric: isMetric ? when.field!.slice('metrics.'.length) : '', unit: 0, side: when.below === undefined ? 'above' : 'below',
    limit: when.above === 0 || when.below === 0 ? '0' : show(when.above ?? when.below), back: when.type === 'threshold' ? show(when.hysteresis) : '',
    fence: when.fence ?? '', on: when.on ?? 'enter', margin: when.type === 'fence' && when.hysteresis ? String(when.hysteresis) : '', expression: when.expression ?? '',
    hold: held.value === 0 ? '0' : String(held.value), holdUnit: String(held.unit), fleets: rule?.fleets ?? [], devices: rule?.devices?.join(', ') ?? '',
  }
}

/** The rule that the draft means, without its id. Throws what is wrong, with its field. */
export function ruleOf(d: Draft): Omit<Rule, 'id'> {
  const hold = d.hold.trim() === '' ? 0 : numberIn(d.hold, 'for_s') * Number(d.holdUnit)
  const devices = d.devices.split(/[\s,]+/).filter(Boolean)
  return {
    ...(d.name.trim() !== '' && { name: d.name.trim() }), severity: d.severity,
    ...(d.fleets.length > 0 && { fleets: d.fleets }), ...(devices.length > 0 && { devices }),
    when: conditionOf(d), ...(hold > 0 && { for_s: hold }),
  }
}

function conditionOf(d: Draft): Condition {
  switch (d.type) {
    case 'offline': return { type: 'offline' }
    case 'expression': return { type: 'expression', expression: d.expression }
    case 'fence': {
      const margin = d.margin.trim() === '' ? 0 : numberIn(d.margin, 'when.hysteresis')
      return { type: 'fence', fence: d.fence, on: d.on, ...(margin > 0 && { hysteresis: margin }) }
    }
    case 'threshold': {
      const unit = unitsOf(d.field)[d.unit] ?? unitsOf(d.field)[0]!
      const limit = toBase(numberIn(d.limit, 'when.above'), unit)
      const back = d.back.trim() === '' ? 0 : toBase(numberIn(d.back, 'when.hysteresis'), unit)
      return { type: 'threshold', field: d.field === 'metric' ? `metrics.${d.metric.trim()}` : d.field, [d.side]: limit, ...(back > 0 && { hysteresis: back }) }
    }
  }
}

function numberIn(text: string, field: string): number {
  const value = Number(text.trim().replace(',', '.'))
  if (text.trim() === '' || !Number.isFinite(value)) throw new Refused(field, a.rule.notNumber)
  return value
}

/** The merge patch that makes a rule what it is in the form. Of the condition before nothing is left. */
export function changesOf(rule: Rule, next: Omit<Rule, 'id'>): Record<string, unknown> {
  const { name, severity, fleets, devices, for_s: held, when } = rule
  const { when: condition, ...rest } = next
  const patch = patchOf({ name, severity, fleets, devices, for_s: held }, rest)
  if (JSON.stringify(when) !== JSON.stringify(condition)) {
    patch.when = { ...Object.fromEntries(Object.keys(when).map(key => [key, null])), ...condition }
  }
  return patch
}
