// Who looks at an installation that asks: a sign-in, and for the first admin a sign-up by the link of the first start,
// whose secret stands behind '#', where no server logs it.

const SETUP = '#setup='

export class SignIn {
  // done is called when somebody has signed in.
  constructor(dialog, done) {
    this.dialog = dialog
    this.done = done
    this.form = dialog.querySelector('form')
    this.trouble = dialog.querySelector('[data-part=trouble]')
    this.setup = ''
    this.form.addEventListener('submit', event => this.submit(event))
    dialog.addEventListener('cancel', event => event.preventDefault()) // there is nothing behind it to see
  }

  // start shows the sign-up where the page was opened by the link.
  start(location = globalThis.location, history = globalThis.history) {
    if (!location.hash.startsWith(SETUP)) return
    this.setup = location.hash.slice(SETUP.length)
    history.replaceState(null, '', location.pathname + location.search) // it is not left in the address bar
    this.show()
  }

  // check asks whether the gateway wants to know who is there, after it refused the stream.
  async check() {
    if (this.dialog.open) return
    try {
      const answer = await fetch('/api/session', { headers: { accept: 'application/json' } })
      if (answer.status === 401) this.show()
    } catch {
      // The gateway is away; the stream goes on trying.
    }
  }

  show() {
    this.dialog.querySelector('h2').textContent = this.setup === '' ? 'Sign in' : 'Set up the first admin'
    this.form.elements.password.autocomplete = this.setup === '' ? 'current-password' : 'new-password'
    this.dialog.querySelector('button').textContent = this.setup === '' ? 'Sign in' : 'Create and sign in'
    this.tell('')
    if (!this.dialog.open) this.dialog.showModal()
  }

  tell(text) {
    this.trouble.textContent = text
    this.trouble.hidden = text === ''
  }

  async submit(event) {
    event.preventDefault()
    const { name, password } = Object.fromEntries(new FormData(this.form))
    const button = this.dialog.querySelector('button')
    button.disabled = true
    try {
      if (this.setup !== '') {
        await send('/api/setup', { setup: this.setup, name, password })
        this.setup = ''
      }
      await send('/api/session', { name, password })
      this.form.reset()
      this.dialog.close()
      this.done()
    } catch (error) {
      this.tell(error.message)
    } finally {
      button.disabled = false
    }
  }
}

// send posts JSON. What is refused is told in the gateway's own words.
async function send(path, body) {
  const answer = await fetch(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
  if (answer.ok) return
  let problem = {}
  try {
    problem = await answer.json()
  } catch {
    // no problem document: a proxy's page
  }
  throw new Error(problem.detail ?? problem.title ?? `The gateway answers ${answer.status}.`)
}
