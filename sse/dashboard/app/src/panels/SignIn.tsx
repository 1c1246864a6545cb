import { useState, type SubmitEvent } from 'react'
import { m } from '../messages.ts'
import { begin } from '../state/live.ts'
import { setupSecret, signIn } from '../state/session.ts'
import { useValue } from '../state/store.ts'
import { Mark } from './Shell.tsx'

export function SignIn() {
  const setup = useValue(setupSecret) !== ''
  const [trouble, setTrouble] = useState('')
  const [busy, setBusy] = useState(false)
  const submit = async (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault()
    const data = new FormData(event.currentTarget)
    setBusy(true)
    try {
      await signIn(String(data.get('name')), String(data.get('password')))
      begin()
    } catch (error) {
      setTrouble(error instanceof Error ? error.message : String(error))
    } finally {
      setBusy(false)
    }
  }
  return (
    <main className="door" data-view="signin">
      <form onSubmit={event => { void submit(event) }} aria-labelledby="door-title">
        <Mark />
        <h1 id="door-title">{setup ? m.signIn.setup : m.signIn.title}</h1>
        <p className="lead">{setup ? m.signIn.setupLead : m.signIn.lead}</p>
        <label>{m.signIn.name}
          <input name="name" autoComplete="username" autoCapitalize="none" spellCheck={false} required maxLength={64} autoFocus />
        </label>
        <label>{m.signIn.password}
          <input name="password" type="password" autoComplete={setup ? 'new-password' : 'current-password'} required minLength={setup ? 12 : undefined} maxLength={256} />
          {setup && <small>{m.signIn.hint}</small>}
        </label>
        {trouble !== '' && <p className="trouble" role="alert">{trouble}</p>}
        <button type="submit" className="button primary" disabled={busy}>{setup ? m.signIn.create : m.signIn.enter}</button>
      </form>
    </main>
  )
}
