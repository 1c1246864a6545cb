// A list that one page shows, as it is on the server.

import { useEffect, useState } from 'react'
import { readAll, wordsOf } from './api.ts'
import { fleets } from './lists.ts'

/** null until it was read. The names of fleets, which every form offers, are read with it. */
export function useList<T>(path: string, member: string): { list: T[] | null, trouble: string, read(): Promise<void> } {
  const [list, setList] = useState<T[] | null>(null)
  const [trouble, setTrouble] = useState('')
  const read = () => readAll<T>(path, member).then(all => { setList(all); setTrouble('') }, (error: unknown) => setTrouble(wordsOf(error)))
  // oxlint-disable-next-line react/exhaustive-deps -- once: read is another function each time, and path is fixed
  useEffect(() => { void read(); void fleets.load() }, [])
  return { list, trouble, read }
}
