// The page's one policy of Trusted Types. The Content-Security-Policy makes every sink that parses HTML or loads code
// refuse plain strings; MapLibre starts its worker with one. This lets that one address through and nothing else: no
// other script, and no HTML at all. Of names and metrics that devices send, which are hostile, none can become markup.

interface TrustedTypes {
  createPolicy(name: string, rules: { createScriptURL(url: string): string | null }): unknown
}

let worker = ''

export function allowWorker(url: string): string {
  worker = url
  return url
}

const types = (globalThis as { trustedTypes?: TrustedTypes }).trustedTypes
types?.createPolicy('default', { createScriptURL: url => url === worker ? url : null })
