// What configures the OwnTracks app for a device of ours.

/** The parts of an id that the topics of OwnTracks can have. */
export function ownTracksId(id: string): { user: string, device: string } | null {
  const [user = '', device = '', ...more] = id.split(':')
  return user !== '' && device !== '' && more.length === 0 ? { user, device } : null
}

/** The link that configures the app, as its booklet documents it: the configuration as JSON in base64. Mode 0 is MQTT. */
export function ownTracksLink({ id, token, host, port, tls }: { id: string, token: string, host: string, port: number, tls: boolean }): string {
  const { user, device } = ownTracksId(id) ?? { user: id, device: id }
  const configuration = {
    _type: 'configuration', mode: 0, host, port, tls, auth: true, username: id, password: token, deviceId: device,
    pubTopicBase: `owntracks/${user}/${device}`, tid: [...device].slice(0, 2).join(''),
  }
  const bytes = new TextEncoder().encode(JSON.stringify(configuration))
  return `owntracks:///config?inline=${encodeURIComponent(btoa(String.fromCharCode(...bytes)))}`
}
