// What an installation without devices shows: what to do next.

import { useState } from 'react'
import { m } from '../messages.ts'
import { fleet, look, streamState } from '../state/live.ts'
import { useSignal, useValue } from '../state/store.ts'
import { isLarge } from '../state/viewport.ts'
import { Icon } from '../ui/Icon.tsx'

export function Empty() {
  useSignal(look)
  const state = useValue(streamState)
  const [copied, setCopied] = useState(false)
  // Only a stream that is up to date can say that there is nothing.
  if (fleet.size > 0 || state !== 'live' || isLarge.get()) return null
  const line = `mosquitto_pub${hostFlag()} -t fleets/north/devices/truck-17/telemetry \\\n  -m '{"lat":48.85833,"lon":2.29513,"speed":16.9,"heading":71}'`
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(line)
      setCopied(true)
      setTimeout(() => setCopied(false), 2000)
    } catch {
      getSelection()?.selectAllChildren(document.querySelector('.empty code')!) // no clipboard without https: one key press is left to the reader
    }
  }
  return (
    <div className="empty">
      <h2>{m.empty.title}</h2>
      <p>{m.empty.lead}</p>
      <pre tabIndex={0}><code>{line}</code></pre>
      <button type="button" className="button" onClick={() => { void copy() }}><Icon name={copied ? 'check' : 'copy'} size={16} />{copied ? m.empty.copied : m.empty.copy}</button>
      <p className="quiet">{m.empty.demo} <code>bin/gateway --demo 200</code></p>
      <p className="quiet">{m.empty.phone}</p>
    </div>
  )
}

// The line to try names the host of this page, which is the gateway's, unless that is this computer anyway.
function hostFlag(): string {
  const { hostname } = location
  if (!/^[A-Za-z0-9.-]+$/.test(hostname) || /^(localhost|127\..*)$/.test(hostname)) return ''
  return ` -h ${hostname}`
}
