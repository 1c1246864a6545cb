// Dialogs and forms. What the gateway refuses is told at the field that it names; the line for it is always there, so
// nothing moves when it is said.

import { useEffect, useId, useRef, useState, type ComponentProps, type ReactNode } from 'react'
import { ApiError } from '../state/api.ts'
import { Icon } from '../ui/Icon.tsx'
import { wordsOf } from './api.ts'
import { Refused } from './refused.ts'
import { acting as a } from './words.ts'

/** A modal dialog: the browser keeps the focus in it, and gives it back. */
export function Dialog({ title, close, children, wide = false }: { title: string, close(): void, children: ReactNode, wide?: boolean }) {
  const dialog = useRef<HTMLDialogElement>(null)
  const id = useId()
  useEffect(() => {
    const el = dialog.current!
    el.showModal()
    return () => el.close()
  }, [])
  return (
    <dialog ref={dialog} className={wide ? 'modal wide' : 'modal'} aria-labelledby={id}
      onCancel={event => { event.preventDefault(); close() }} onKeyDown={event => event.stopPropagation()}
      onClick={event => { if (event.target === dialog.current) close() }}>
      <div className="inner">
        <header><h2 id={id}>{title}</h2>
          <button type="button" className="quiet-button" aria-label={a.close} onClick={close}><Icon name="close" size={18} /></button>
        </header>
        {children}
      </div>
    </dialog>
  )
}

export interface FormState {
  errors: Record<string, string>
  trouble: string
  busy: boolean
  /** Runs what the person asked for, and puts what is refused where it belongs. */
  run(act: () => Promise<void>): Promise<void>
  refuse(field: string, text: string): void
  clear(field: string): void
}

/** names are the fields of the form; an error of any other is told at its end. */
export function useFormState(names: readonly string[]): FormState {
  const [errors, setErrors] = useState<Record<string, string>>({})
  const [trouble, setTrouble] = useState('')
  const [busy, setBusy] = useState(false)
  const refuse = (field: string, text: string) => {
    setErrors(old => ({ ...old, [field]: text }))
    // After React has drawn it.
    requestAnimationFrame(() => document.querySelector<HTMLElement>(`[data-field="${CSS.escape(field)}"]`)?.focus())
  }
  return {
    errors, trouble, busy, refuse,
    clear: field => setErrors(old => {
      if (old[field] === undefined) return old
      const { [field]: _, ...rest } = old
      return rest
    }),
    async run(act) {
      if (busy) return
      setBusy(true)
      setErrors({})
      setTrouble('')
      try {
        await act()
      } catch (error) {
        const field = error instanceof ApiError ? fieldOf(error.field, names) : undefined
        if (error instanceof Refused) refuse(error.field, error.message)
        else if (field !== undefined) refuse(field, sentence(wordsOf(error), (error as ApiError).field))
        else setTrouble(sentence(wordsOf(error), error instanceof ApiError ? error.field : ''))
      } finally {
        setBusy(false)
      }
    },
  }
}

// The gateway names a member by its path, and says of it "is missing": a parameter that is below a field is the field's.
function fieldOf(parameter: string, names: readonly string[]): string | undefined {
  if (parameter === '') return undefined
  return names.find(name => name === parameter)
    ?? names.find(name => parameter.startsWith(`${name}.`) || parameter.startsWith(`${name}[`))
    ?? names.find(name => name.startsWith(`${parameter}.`))
}

function sentence(text: string, parameter: string): string {
  const bare = parameter !== '' && text.startsWith(`${parameter} `) ? `It ${text.slice(parameter.length + 1)}` : text
  const begun = bare.charAt(0).toUpperCase() + bare.slice(1)
  return /[.!?…]$/.test(begun) ? begun : `${begun}.`
}

interface FieldProps { form: FormState, name: string, label: string, hint?: string, optional?: boolean, className?: string }

/** A label, what the person fills in, and a line that says what it means or what is wrong. */
export function Field({ form, name, label, hint = '', optional, className, children }: FieldProps & { children: (props: Bound) => ReactNode }) {
  const id = useId()
  const error = form.errors[name]
  return (
    <div className={className ? `form-field ${className}` : 'form-field'}>
      <label htmlFor={id}>{label}{optional && <small> {a.optional}</small>}</label>
      {children({ id, 'aria-describedby': `${id}-line`, 'aria-invalid': error !== undefined, 'data-field': name })}
      <p id={`${id}-line`} className={error === undefined ? 'hint' : 'hint wrong'} role={error === undefined ? undefined : 'alert'}>{error ?? hint}</p>
    </div>
  )
}

interface Bound { id: string, 'aria-describedby': string, 'aria-invalid': boolean, 'data-field': string }

type TextProps = FieldProps & { value: string, set(value: string): void } & Omit<ComponentProps<'input'>, 'form' | 'name' | 'value' | 'className'>

export function TextField({ form, name, label, hint, optional, className, value, set, ...rest }: TextProps) {
  return (
    <Field form={form} name={name} label={label} {...(hint !== undefined && { hint })} {...(optional && { optional })} {...(className && { className })}>
      {bound => <input {...rest} {...bound} className="field" value={value} onChange={event => { form.clear(name); set(event.target.value) }} autoComplete="off" spellCheck={false} />}
    </Field>
  )
}

export function SelectField<T extends string>({ form, name, label, hint, value, set, options, className }: FieldProps & { value: T, set: (value: NoInfer<T>) => void, options: readonly (readonly [NoInfer<T>, string])[] }) {
  return (
    <Field form={form} name={name} label={label} {...(hint !== undefined && { hint })} {...(className && { className })}>
      {bound => (
        <span className="select-box">
          <select {...bound} className="field" value={value} onChange={event => { form.clear(name); set(event.target.value as T) }}>
            {options.map(([key, text]) => <option key={key} value={key}>{text}</option>)}
          </select><Icon name="chevron" size={16} />
        </span>
      )}
    </Field>
  )
}

/** One of a few, as buttons side by side. */
export function Segments<T extends string>({ label, value, set, options, name }: { label: string, value: T, set: (value: NoInfer<T>) => void, options: readonly (readonly [NoInfer<T>, string])[], name?: string }) {
  return (
    <div className="segments" role="radiogroup" aria-label={label} data-group={name}>
      {options.map(([key, text]) => (
        <button key={key} type="button" role="radio" aria-checked={key === value} aria-pressed={undefined} tabIndex={key === value ? 0 : -1} data-value={key} onClick={() => set(key)}
          onKeyDown={event => {
            const step = event.key === 'ArrowRight' || event.key === 'ArrowDown' ? 1 : event.key === 'ArrowLeft' || event.key === 'ArrowUp' ? -1 : 0
            if (step === 0) return
            event.preventDefault()
            const i = (options.findIndex(([k]) => k === key) + step + options.length) % options.length
            set(options[i]![0])
            ;(event.currentTarget.parentElement!.children[i] as HTMLElement).focus()
          }}>{text}</button>
      ))}
    </div>
  )
}

/** Any of some, as chips. */
export function Chips({ form, name, label, hint, options, value, set, names = {} }: FieldProps & { options: readonly string[], value: readonly string[], set(value: string[]): void, names?: Record<string, string> }) {
  const all = [...new Set([...options, ...value])].sort()
  const error = form.errors[name]
  return (
    <fieldset className="form-field" data-field={name} tabIndex={-1}>
      <legend>{label}</legend>
      {all.length === 0 ? <p className="quiet">{a.noFleets}</p> : (
        <div className="chips">
          {all.map(one => (
            <button key={one} type="button" className="chip" aria-pressed={value.includes(one)}
              onClick={() => { form.clear(name); set(value.includes(one) ? value.filter(v => v !== one) : [...value, one]) }}>{names[one] ?? one}</button>
          ))}
        </div>
      )}
      <p className={error === undefined ? 'hint' : 'hint wrong'} role={error === undefined ? undefined : 'alert'}>{error ?? hint}</p>
    </fieldset>
  )
}

export function Check({ label, hint, value, set }: { label: string, hint?: string, value: boolean, set(value: boolean): void }) {
  return (
    <label className="check"><input type="checkbox" checked={value} onChange={event => set(event.target.checked)} /><span>{label}{hint && <small>{hint}</small>}</span></label>
  )
}

/** The end of a form: what is wrong with all of it, and what may be done. */
export function Buttons({ form, submit, busy, cancel, danger = false }: { form: FormState, submit: string, busy?: string, cancel?: () => void, danger?: boolean }) {
  return (
    <footer className="buttons">
      <p className="trouble" role="alert">{form.trouble}</p>
      {cancel && <button type="button" className="button" onClick={cancel}>{a.cancel}</button>}
      <button type="submit" className={danger ? 'button primary dangerous' : 'button primary'} disabled={form.busy}>{form.busy ? busy ?? a.saving : submit}</button>
    </footer>
  )
}

export function Form({ form, submit, children, label }: { form: FormState, submit(): Promise<void>, children: ReactNode, label?: string }) {
  return <form className="form" noValidate aria-label={label} onSubmit={event => { event.preventDefault(); void form.run(submit) }}>{children}</form>
}

/** Asks before something is gone. */
export function Confirm({ title, text, act, close, label = a.remove }: { title: string, text: string, act(): Promise<void>, close(): void, label?: string }) {
  const form = useFormState([])
  return (
    <Dialog title={title} close={close}>
      <Form form={form} submit={async () => { await act(); close() }}>
        <p>{text}</p>
        <Buttons form={form} submit={label} cancel={close} danger />
      </Form>
    </Dialog>
  )
}

export function CopyButton({ text, label = a.copy }: { text: string, label?: string }) {
  const [copied, setCopied] = useState(false)
  return (
    <button type="button" className="button small" onClick={() => {
      navigator.clipboard?.writeText(text).then(() => { setCopied(true); setTimeout(() => setCopied(false), 2000) }, () => {})
    }}><Icon name={copied ? 'check' : 'copy'} size={14} /><span aria-live="polite">{copied ? a.copied : label}</span></button>
  )
}

/** A list that is loading, could not be read, or has nothing. */
export function Nothing({ title, text, children }: { title: string, text?: string, children?: ReactNode }) {
  return <div className="nothing"><p><strong>{title}</strong></p>{text && <p>{text}</p>}{children}</div>
}
