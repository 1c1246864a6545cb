// A credential, shown once: how a device signs in with it, and for a phone the configuration as a QR code.

import { generate } from 'lean-qr'
import { useMemo, useState } from 'react'
import { CopyButton, Check, Dialog } from './forms.tsx'
import { ownTracksId, ownTracksLink } from './owntracks.ts'
import { acting as a } from './words.ts'

export interface DeviceSecret { id: string, fleet: string, token: string }

export function SecretDialog({ secret, close }: { secret: DeviceSecret, close(): void }) {
  const phone = ownTracksId(secret.id)
  const [host, setHost] = useState(location.hostname)
  const [tls, setTls] = useState(location.protocol === 'https:')
  const [port, setPort] = useState(location.protocol === 'https:' ? '8883' : '1883')
  const topic = phone ? `owntracks/${phone.user}/${phone.device}` : `fleets/${secret.fleet}/devices/${secret.id}/telemetry`
  const payload = phone ? '{"_type":"location","lat":48.85833,"lon":2.29513,"tst":1795353543}' : '{"lat":48.85833,"lon":2.29513}'
  const line = `mosquitto_pub -h ${quote(host)} -p ${port}${tls ? ' --tls-use-os-certs' : ''} -u ${quote(secret.id)} -P ${quote(secret.token)} -q 1 -t ${quote(topic)} -m ${quote(payload)}`
  return (
    <Dialog title={a.secret.device(secret.id)} close={close} wide>
      <div className="form secret">
        <div className="scroll">
          <p className="note">{a.secret.once}</p>
          {phone && <OwnTracks secret={secret} host={host} port={Number(port)} tls={tls} />}
          <Value label={a.secret.user} value={secret.id} />
          <Value label={a.secret.token} value={secret.token} secret />
          <Value label={a.secret.topic} value={topic} />
          <div className="trio">
            <Plain label={a.secret.host} hint={a.secret.hostHint} value={host} set={setHost} />
            <Plain label={a.secret.port} value={port} set={text => setPort(text.replace(/\D/g, ''))} />
            <Check label={a.secret.tls} value={tls} set={on => { setTls(on); if (port === (on ? '1883' : '8883')) setPort(on ? '8883' : '1883') }} />
          </div>
          <Value label={a.secret.try} value={line} />
        </div>
        <footer className="buttons"><span /><button type="button" className="button primary" onClick={close}>{a.done}</button></footer>
      </div>
    </Dialog>
  )
}

function OwnTracks({ secret, host, port, tls }: { secret: DeviceSecret, host: string, port: number, tls: boolean }) {
  const link = ownTracksLink({ id: secret.id, token: secret.token, host, port, tls })
  return (
    <section className="owntracks">
      <Qr text={link} label={a.secret.qr(secret.id)} />
      <div><h3>{a.secret.owntracks}</h3><p>{a.secret.owntracksText}</p><p><a href={link}>{a.secret.link}</a></p></div>
    </section>
  )
}

export function Qr({ text, label }: { text: string, label: string }) {
  const { size, path } = useMemo(() => {
    const code = generate(text)
    let drawn = ''
    for (let y = 0; y < code.size; y++) for (let x = 0; x < code.size; x++) if (code.get(x, y)) drawn += `M${x} ${y}h1v1h-1z`
    return { size: code.size, path: drawn }
  }, [text])
  return (
    <svg className="qr" role="img" aria-label={label} data-text={text} viewBox={`-4 -4 ${size + 8} ${size + 8}`} shapeRendering="crispEdges"><path d={path} /></svg>
  )
}

/** A secret of a program, shown once: a key, the token of an MQTT account, what a webhook signs with. */
export function KeyDialog({ token, title, name, hint, user, close }: { token: string, title: string, name: string, hint?: string, user?: string, close(): void }) {
  return (
    <Dialog title={title} close={close}>
      <div className="form secret">
        <p className="note">{a.secret.once}</p>
        {user !== undefined && <Value label={a.secret.user} value={user} />}
        <Value label={name} value={token} secret />
        {hint !== undefined && <p className="hint">{hint}</p>}
        <footer className="buttons"><span /><button type="button" className="button primary" onClick={close}>{a.done}</button></footer>
      </div>
    </Dialog>
  )
}

function Value({ label, value, secret = false }: { label: string, value: string, secret?: boolean }) {
  return (
    <div className="value-line"><span className="label">{label}</span><code data-secret={secret || undefined} tabIndex={0}>{value}</code><CopyButton text={value} /></div>
  )
}

function Plain({ label, hint = '', value, set }: { label: string, hint?: string, value: string, set(value: string): void }) {
  return <label className="form-field"><span className="label">{label}</span><input className="field" value={value} onChange={event => set(event.target.value)} spellCheck={false} autoComplete="off" /><span className="hint">{hint}</span></label>
}

function quote(text: string): string {
  return /^[\w.:/@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}
