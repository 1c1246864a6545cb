import { expect, test } from 'vitest'
import { Parser, type Message } from '../src/parse.js'
import { random } from './browser.js'

function parse(pieces: string[], lastId = ''): { messages: Message[]; parser: Parser } {
  const messages: Message[] = []
  const parser = new Parser(lastId, m => messages.push(m))
  for (const piece of pieces) parser.push(piece)
  return { messages, parser }
}

test('messages as the standard has them', () => {
  const { messages } = parse([': comment\n\ndata: YHOO\ndata: +2\ndata: 10\n\nevent: batch\ndata:[1]\nid: 7\n\ndata\n\ndata\ndata\n\ndata:  two spaces\n\n'])
  expect(messages).toEqual([
    { name: 'message', data: 'YHOO\n+2\n10', id: '' },
    { name: 'batch', data: '[1]', id: '7' },
    { name: 'message', data: '', id: '7' },
    { name: 'message', data: '\n', id: '7' },
    { name: 'message', data: ' two spaces', id: '7' },
  ])
})

test('an id is kept without data, emptied by an empty one, and ignored with a NUL', () => {
  const { parser } = parse(['id: 5\n\n'])
  expect(parser.lastId).toBe('5')
  parser.push('id: 6\0\n\n')
  expect(parser.lastId).toBe('5')
  parser.push('id\n\n')
  expect(parser.lastId).toBe('')
})

test('an id counts when its block has ended', () => {
  const { parser, messages } = parse(['id: 5\ndata: x\n'], '4')
  expect([parser.lastId, messages.length]).toEqual(['4', 0])
  parser.push('\n')
  expect([parser.lastId, messages.length]).toEqual(['5', 1])
})

test('retry takes digits alone', () => {
  expect(parse(['retry: 2500\n\n']).parser.retry).toBe(2500)
  expect(parse(['retry: 2.5\n\n']).parser.retry).toBe(null)
})

test('pieces may be cut anywhere, with any line ends', () => {
  const lines = ['\uFEFF: hello', 'retry: 100', '', 'event: batch', 'data: [{"id":"ä€😀"}]', 'id: 1:2', '', 'data: x', '', 'event: lost']
  for (const newline of ['\n', '\r\n', '\r']) {
    const text = lines.join(newline) + newline
    const whole = parse([text, 'x']).messages
    expect(whole).toEqual([{ name: 'batch', data: '[{"id":"ä€😀"}]', id: '1:2' }, { name: 'message', data: 'x', id: '1:2' }])
    const r = random(newline.length)
    for (let round = 0; round < 200; round++) {
      const pieces: string[] = []
      for (let at = 0; at < text.length;) {
        const n = 1 + Math.floor(r() * 9)
        pieces.push(text.slice(at, at + n))
        at += n
      }
      expect(parse([...pieces, 'x']).messages).toEqual(whole)
    }
  }
})
