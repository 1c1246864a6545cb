// Reads text/event-stream as the standard has it (WHATWG HTML, section 9.2.6), for streams that come by fetch.

/** One message. `id` is the last event id as it stands after the message. */
export interface Message {
  name: string
  data: string
  id: string
}

/** Takes text in pieces of any size. */
export class Parser {
  /** The last event id, also where a block held nothing else. */
  lastId: string
  /** The time of reconnection that the stream set, ms. */
  retry: number | null = null
  #rest = ''
  #name = ''
  #data: string[] = []
  #id: string
  #begun = false
  readonly #dispatch: (message: Message) => void

  constructor(lastId: string, dispatch: (message: Message) => void) {
    this.lastId = this.#id = lastId
    this.#dispatch = dispatch
  }

  push(text: string): void {
    if (!this.#begun && text !== '') {
      this.#begun = true
      if (text.startsWith('\uFEFF')) text = text.slice(1)
    }
    const all = this.#rest + text
    const end = /\r\n|\n|\r/g
    let from = 0
    for (let m = end.exec(all); m; m = end.exec(all)) {
      if (m[0] === '\r' && end.lastIndex === all.length) break // perhaps half of CR LF
      this.#line(all.slice(from, m.index))
      from = end.lastIndex
    }
    this.#rest = all.slice(from)
  }

  #line(line: string): void {
    if (line === '') {
      this.#block()
      return
    }
    const colon = line.indexOf(':')
    if (colon === 0) return // a comment
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1)
    switch (field) {
      case 'data':
        this.#data.push(value)
        return
      case 'event':
        this.#name = value
        return
      case 'id':
        if (!value.includes('\0')) this.#id = value
        return
      case 'retry':
        if (/^\d+$/.test(value)) this.retry = Number(value)
    }
  }

  #block(): void {
    this.lastId = this.#id
    const name = this.#name
    const data = this.#data
    this.#name = ''
    this.#data = []
    if (data.length > 0) this.#dispatch({ name: name || 'message', data: data.join('\n'), id: this.lastId })
  }
}
