// The parts of forms that devices and fleets have both: limits, notes, and numbers that may be left out.

import type { ReactNode } from 'react'
import { Chips, Field, TextField, type FormState } from './forms.tsx'
import { parseBox, writeBox, type Texts } from './texts.ts'
import { acting as a } from './words.ts'

export const LIMITS = Object.keys(a.limits.fields).map(name => `limits.${name}`)
export const HYGIENE = Object.keys(a.hygiene.fields).map(name => `hygiene.${name}`)

interface Part { form: FormState, texts: Texts, set(texts: Texts): void }

function Numbers({ form, texts, set, holder, labels }: Part & { holder: string, labels: Record<string, string> }) {
  return (
    <div className="numbers">
      {Object.entries(labels).map(([name, label]) => {
        const path = `${holder}.${name}`
        return <TextField key={name} form={form} name={path} label={label} inputMode="decimal" value={texts[path] ?? ''} set={text => set({ ...texts, [path]: text })} />
      })}
    </div>
  )
}

/** What most people leave as it is: closed until somebody wants it, and open where something is set or wrong. */
function Fold({ title, hint, open, children }: { title: string, hint: string, open: boolean, children: ReactNode }) {
  return <details className="fold" open={open || undefined}><summary>{title}</summary><p className="hint">{hint}</p>{children}</details>
}

function isSet({ form, texts }: Part, holder: string): boolean {
  return [...Object.entries(texts).filter(([, text]) => text !== '').map(([path]) => path), ...Object.keys(form.errors)].some(path => path.startsWith(`${holder}.`))
}

export function LimitFields({ hint, ...part }: Part & { hint: string }) {
  return <Fold title={a.limits.title} hint={hint} open={isSet(part, 'limits')}><Numbers {...part} holder="limits" labels={a.limits.fields} /></Fold>
}

/** What of the hygiene is no number. */
export interface Belief { box: string, off: readonly string[] }

export function beliefOf(hygiene: Record<string, unknown> | undefined): Belief {
  return { box: writeBox(hygiene?.bbox), off: Array.isArray(hygiene?.off) ? hygiene.off as string[] : [] }
}

/** Members that are absent are at their default: everywhere, and every rule on. */
export function hygieneOf({ box, off }: Belief): Record<string, unknown> {
  const bbox = parseBox(box)
  return { ...(bbox && { bbox }), ...(off.length > 0 && { off }) }
}

export function HygieneFields({ belief, believe, ...part }: Part & { belief: Belief, believe(belief: Belief): void }) {
  const { form } = part
  return (
    <Fold title={a.hygiene.title} hint={a.hygiene.hint} open={isSet(part, 'hygiene') || belief.box !== '' || belief.off.length > 0}>
      <Numbers {...part} holder="hygiene" labels={a.hygiene.fields} />
      <TextField form={form} name="hygiene.bbox" label={a.hygiene.box} hint={a.hygiene.boxHint} value={belief.box} set={box => believe({ ...belief, box })} placeholder="5.9, 45.8, 10.5, 47.8" />
      <Chips form={form} name="hygiene.off" label={a.hygiene.off} hint={a.hygiene.offHint} options={Object.keys(a.hygiene.rules)} names={a.hygiene.rules} value={belief.off} set={off => believe({ ...belief, off })} />
    </Fold>
  )
}

export function MetadataField({ form, value, set }: { form: FormState, value: string, set(value: string): void }) {
  return (
    <Field form={form} name="metadata" label={a.metadata.title} hint={a.metadata.hint} optional>
      {bound => <textarea {...bound} className="field mono" rows={2} spellCheck={false} value={value} onChange={event => { form.clear('metadata'); set(event.target.value) }} />}
    </Field>
  )
}
