// A page around the client package, as somebody would write it. Tests drive it by `page`: what it shows is React's, what
// it heard stands in `page.log`.

import { createRoot } from 'react-dom/client'
import { connect } from '../../client/src/index.ts'
import { FleetContext, useAsset, useFleet, useStreamEvent, useStreamState } from '../../client/src/react.ts'

const page = { log: [], connection: null }
window.page = page

function Fleet() {
  const { assets } = useFleet()
  const state = useStreamState()
  useStreamEvent('reset', () => page.log.push('reset'))
  return (
    <ul id="assets" data-count={assets.size} data-state={state}>
      {[...assets.keys()].sort().map(id => <Asset key={id} id={id} />)}
    </ul>
  )
}

function Asset({ id }) {
  const asset = useAsset(id)
  return <li data-id={id}>{asset?.speed} m/s</li>
}

// Opens a connection, and shows it in place of the one before.
page.open = options => {
  page.connection = connect(options)
  root.render(<FleetContext value={page.connection}><Fleet /></FleetContext>)
}
// Another tab, as far as locks, channels and streams go.
page.tab = name => {
  const frame = document.createElement('iframe')
  frame.id = name
  frame.src = '/#tab'
  document.body.append(frame)
}
page.of = name => document.getElementById(name).contentWindow.page
page.speed = (name, id) => document.getElementById(name).contentDocument.querySelector(`[data-id="${id}"]`)?.textContent

const root = createRoot(document.getElementById('root'))
if (location.hash === '#tab') page.open()
