// Requests to the gateway. What is refused is told in the gateway's own words: it answers with problems (RFC 9457).

export class ApiError extends Error {
  constructor(readonly status: number, message: string, readonly field = '') {
    super(message)
  }
}

interface Problem { title?: string, detail?: string, parameter?: string }

export async function call<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
  const init: RequestInit = { method, headers: { accept: 'application/json', ...headers } }
  if (body !== undefined) {
    init.body = JSON.stringify(body)
    init.headers = { 'content-type': 'application/json', ...init.headers }
  }
  const answer = await fetch(path, init)
  if (!answer.ok) {
    let problem: Problem = {}
    try {
      problem = await answer.json() as Problem
    } catch {
      // no problem document: a proxy's page
    }
    throw new ApiError(answer.status, problem.detail ?? problem.title ?? `The gateway answers ${answer.status}.`, problem.parameter)
  }
  if (answer.status === 204 || answer.headers.get('content-length') === '0') return undefined as T
  return await answer.json() as T
}

export function get<T>(path: string): Promise<T> {
  return call<T>('GET', path)
}

// Whether the gateway does not have this, or not for this person: the page then does without, and says nothing.
export function isAbsent(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 404 || error.status === 403 || error.status === 405)
}
