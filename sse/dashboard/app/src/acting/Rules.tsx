// Rules: the list, each in words.

import { useEffect, useState } from 'react'
import { m } from '../messages.ts'
import { may } from '../state/session.ts'
import { useSignal } from '../state/store.ts'
import { Icon } from '../ui/Icon.tsx'
import { wordsOf } from './api.ts'
import { Confirm, Nothing } from './forms.tsx'
import { fences, rules, type Rule } from './lists.ts'
import { RuleForm } from './RuleForm.tsx'
import { inWords, number, secondsInWords } from '../units.ts'
import { acting as a } from './words.ts'

export function RulesPanel() {
  useSignal(rules)
  useSignal(fences)
  const [open, setOpen] = useState<Rule | 'new' | null>(null)
  const [removing, setRemoving] = useState<Rule | null>(null)
  useEffect(() => { void rules.load(true); void fences.load(true) }, [])
  return (
    <section className="panel rules" aria-label={a.rule.title}>
      <header className="tools"><div className="heading"><h1>{a.rule.title}</h1>
        {may('operator') && <button type="button" className="button small" onClick={() => setOpen('new')}><Icon name="plus" size={15} />{a.rule.create}</button>}
      </div></header>
      {rules.state === 'failed' ? <Nothing title={a.unreadable} text={rules.trouble} />
        : rules.items.length === 0 ? rules.state === 'ready' && <Nothing title={a.rule.none} text={a.rule.noneText} />
          : <ul className="things">{rules.items.map(rule => <Item key={rule.id} rule={rule} edit={() => setOpen(rule)} remove={() => setRemoving(rule)} />)}</ul>}
      {open && <RuleForm rule={open === 'new' ? null : open} close={() => setOpen(null)} />}
      {removing && <Confirm title={a.sure(removing.name ?? removing.id)} text={inWordsOf(removing)} act={() => rules.remove(removing)} close={() => setRemoving(null)} />}
    </section>
  )
}

function Item({ rule, edit, remove }: { rule: Rule, edit(): void, remove(): void }) {
  const [trouble, setTrouble] = useState('')
  const severity = rule.severity ?? 'warning'
  const toggle = () => {
    setTrouble('')
    rules.change(rule, { disabled: rule.disabled ? null : true }).catch((error: unknown) => setTrouble(wordsOf(error)))
  }
  return (
    <li data-id={rule.id} data-off={rule.disabled || undefined}>
      <span className="face">
        <span className={`dot severity ${severity}`} role="img" aria-label={m.severity[severity]} />
        <strong>{rule.name ?? rule.id}</strong><span className="sub">{inWordsOf(rule)}</span>
      </span>
      {may('operator') && (
        <span className="tools-row">
          <button type="button" className="switch" role="switch" aria-checked={!rule.disabled} aria-label={a.rule.toggle(rule.name ?? rule.id)} onClick={toggle}><i /></button>
          <button type="button" className="button small" onClick={edit}>{a.edit}</button>
          <button type="button" className="button small danger" onClick={remove}>{a.remove}</button>
        </span>
      )}
      {trouble !== '' && <p className="trouble" role="alert">{trouble}</p>}
    </li>
  )
}

/** "Speed above 90 km/h for 10 s · north" */
export function inWordsOf({ when, for_s: held, fleets, devices }: Rule): string {
  const parts = [condition(when)]
  if (held && held > 0) parts[0] += ` ${a.rule.for(secondsInWords(held))}`
  if (devices?.length) parts.push(devices.length > 3 ? `${number(devices.length)} ×` : devices.join(', '))
  parts.push(fleets?.length ? fleets.join(', ') : a.everyFleet)
  return parts.join(' · ')
}

function condition(when: Rule['when']): string {
  switch (when.type) {
    case 'offline': return a.rule.types.offline!
    case 'expression': return when.expression ?? ''
    case 'fence': return capital(`${a.rule.ons[when.on ?? ''] ?? when.on} ${fences.get(when.fence ?? '')?.name ?? when.fence}`)
    case 'threshold': {
      const field = when.field ?? ''
      const name = a.rule.fields[field] ?? field.replace(/^metrics\./, '')
      return when.above === undefined ? `${name} ${a.rule.below} ${inWords(field, when.below ?? 0)}` : `${name} ${a.rule.above} ${inWords(field, when.above)}`
    }
  }
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
