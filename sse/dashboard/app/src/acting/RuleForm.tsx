// A rule as a person thinks of it: in their units, with what the gateway keeps of it said below.

import { useEffect, useState } from 'react'
import { m } from '../messages.ts'
import { useSignal } from '../state/store.ts'
import { idOf } from './api.ts'
import { changesOf, draftOf, ruleOf, type Draft } from './draft.ts'
import { Buttons, Chips, Dialog, Field, Form, Segments, SelectField, TextField, useFormState, type FormState } from './forms.tsx'
import { fences, fleetNames, fleets, rules, type Rule } from './lists.ts'
import { baseUnit, number, toBase, unitsOf } from '../units.ts'
import { acting as a } from './words.ts'

const NAMES = ['name', 'severity', 'when.field', 'when.above', 'when.hysteresis', 'when.fence', 'when.on', 'when.expression', 'for_s', 'fleets', 'devices'] as const
const TYPES = (['threshold', 'fence', 'offline', 'expression'] as const).map(t => [t, a.rule.types[t]!] as const)
const SEVERITIES = (['info', 'warning', 'critical'] as const).map(s => [s, m.severity[s]] as const)
const FIELDS = [...(['speed', 'battery', 'altitude', 'accuracy', 'heading'] as const).map(f => [f as string, a.rule.fields[f]!] as const), ['metric', a.rule.metric] as const]
const ONS = (['enter', 'exit', 'inside', 'outside', 'dwell'] as const).map(o => [o as string, a.rule.ons[o]!] as const)

export function RuleForm({ rule, close }: { rule: Rule | null, close(): void }) {
  useSignal(fleets)
  useSignal(fences)
  const form = useFormState(NAMES)
  const [draft, setDraft] = useState(() => draftOf(rule))
  const change = (part: Partial<Draft>) => setDraft(old => ({ ...old, ...part }))
  useEffect(() => { void fleets.load() }, [])
  const save = async () => {
    const next = ruleOf(draft)
    if (rule) {
      await rules.change(rule, changesOf(rule, next))
    } else {
      await rules.create({ id: idOf(draft.name || draft.type, id => rules.get(id) !== undefined), ...next })
    }
    close()
  }
  return (
    <Dialog title={rule ? a.rule.edit(rule.name ?? rule.id) : a.rule.create} close={close} wide>
      <Form form={form} submit={save}>
        <div className="scroll">
          <div className="pair">
            <TextField form={form} name="name" label={a.name} value={draft.name} set={name => change({ name })} autoFocus maxLength={128} />
            <SelectField form={form} name="severity" label={a.rule.severity} value={draft.severity} set={severity => change({ severity })} options={SEVERITIES} />
          </div>
          <div className="form-field"><span className="label">{a.rule.when}</span><Segments label={a.rule.when} name="type" value={draft.type} set={type => change({ type })} options={TYPES} /></div>
          <div className="condition" key={draft.type}>
            {draft.type === 'threshold' && <Threshold form={form} draft={draft} change={change} />}
            {draft.type === 'fence' && <InFence form={form} draft={draft} change={change} />}
            {draft.type === 'expression' && (
              <Field form={form} name="when.expression" label={a.rule.expression} hint={a.rule.expressionHint}>
                {bound => <textarea {...bound} className="field mono" rows={3} spellCheck={false} value={draft.expression} onChange={event => { form.clear('when.expression'); change({ expression: event.target.value }) }} />}
              </Field>
            )}
            <div className="pair">
              <TextField form={form} name="for_s" label={a.rule.hold} hint={draft.type === 'fence' && draft.on === 'dwell' ? a.rule.dwellHint : a.rule.holdHint} value={draft.hold} set={hold => change({ hold })} inputMode="decimal" />
              <SelectField form={form} name="hold-unit" label={a.rule.unit} value={draft.holdUnit} set={holdUnit => change({ holdUnit })} options={[['1', a.rule.units[1]!], ['60', a.rule.units[60]!], ['3600', a.rule.units[3600]!]]} />
            </div>
          </div>
          <Chips form={form} name="fleets" label={a.rule.scope} hint={a.rule.scopeHint} options={fleetNames()} value={draft.fleets} set={chosen => change({ fleets: chosen })} />
          <TextField form={form} name="devices" label={a.rule.devices} optional hint={a.rule.devicesHint} value={draft.devices} set={devices => change({ devices })} />
        </div>
        <Buttons form={form} submit={a.save} cancel={close} />
      </Form>
    </Dialog>
  )
}

interface Part { form: FormState, draft: Draft, change(part: Partial<Draft>): void }

function Threshold({ form, draft, change }: Part) {
  const units = unitsOf(draft.field)
  const unit = units[draft.unit] ?? units[0]!
  const limit = Number(draft.limit.replace(',', '.'))
  const back = Number(draft.back.replace(',', '.'))
  const base = baseUnit(draft.field)
  const clears = draft.side === 'above' ? limit - back : limit + back
  return (
    <>
      <div className="pair">
        <SelectField form={form} name="when.kind" label={a.rule.field} value={draft.field} set={field => change({ field, unit: 0 })} options={FIELDS} />
        {draft.field === 'metric' ? <TextField form={form} name="when.field" label={a.rule.metricName} hint={a.rule.metricHint} value={draft.metric} set={metric => change({ metric })} />
          : <SelectField form={form} name="when.unit" label={a.rule.unit} value={String(draft.unit)} set={n => change({ unit: Number(n) })} options={units.map((u, i) => [String(i), u.name] as const)} />}
      </div>
      <div className="pair">
        <SelectField form={form} name="when.side" label={a.rule.side} value={draft.side} set={side => change({ side })} options={[['above', a.rule.above], ['below', a.rule.below]]} />
        <TextField form={form} name="when.above" label={unit.name === '' ? a.rule.limit : `${a.rule.limit} (${unit.name})`} inputMode="decimal" value={draft.limit} set={text => change({ limit: text })}
          hint={draft.limit !== '' && Number.isFinite(limit) && unit.name !== base ? a.rule.keptAs(`${number(toBase(limit, unit))} ${base}`) : ''} />
        <TextField form={form} name="when.hysteresis" label={unit.name === '' ? a.rule.clears : `${a.rule.clears} (${unit.name})`} optional inputMode="decimal" value={draft.back} set={text => change({ back: text })}
          hint={back > 0 && Number.isFinite(clears) ? a.rule.hysteresisHint(`${number(clears)} ${unit.name}`) : ''} />
      </div>
    </>
  )
}

function InFence({ form, draft, change }: Part) {
  const options = fences.items.map(f => [f.id, f.name ?? f.id] as const)
  if (draft.fence !== '' && !fences.get(draft.fence)) options.push([draft.fence, draft.fence])
  return (
    <>
      <div className="pair">
        <SelectField form={form} name="when.on" label={a.rule.on} value={draft.on} set={on => change({ on })} options={ONS} />
        <SelectField form={form} name="when.fence" label={a.rule.fence} hint={options.length === 0 ? a.rule.noFence : ''} value={draft.fence} set={fence => change({ fence })} options={[['', '…'], ...options]} />
      </div>
      <TextField form={form} name="when.hysteresis" label={`${a.rule.margin} (m)`} optional hint={a.rule.marginHint} inputMode="decimal" value={draft.margin} set={margin => change({ margin })} />
    </>
  )
}
