import '@fontsource-variable/inter/wght.css'
import 'maplibre-gl/dist/maplibre-gl.css'
import './styles/tokens.css'
import './styles/base.css'
import './styles/shell.css'
import './styles/board.css'
import './styles/map.css'
import './styles/details.css'
import './styles/alerts.css'
import './acting/acting.css'
import './trusted.ts'
import { createRoot } from 'react-dom/client'
import { Shell } from './panels/Shell.tsx'
import { board } from './state/app.ts'
import { alerts, applied, began, connection, history, look, selected, startLive, fleet, streamState } from './state/live.ts'
import { fences } from './state/fences.ts'
import { mapValue } from './state/mapstate.ts'
import { startPrefs } from './state/prefs.ts'
import { startRouting } from './state/route.ts'
import { session, takeSetup } from './state/session.ts'

startPrefs()
takeSetup()
startRouting()
look.subscribe(() => board.refresh())
applied.subscribe(() => { if (board.shown.length === 0) board.refresh() })
createRoot(document.getElementById('app')!).render(<Shell />)
startLive()
if (session.get().kind !== 'out') {
  void alerts.load()
  fences.start()
}
began.subscribe(() => fences.start())

// For tests and for the console of the curious.
Object.assign(globalThis, { fleetcast: { fleet, history, board, connection, streamState, selected, alerts, map: () => mapValue.get() } })
