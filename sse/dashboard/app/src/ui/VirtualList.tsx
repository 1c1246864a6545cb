// A list of thousands of rows of one height, of which only those in sight are in the document.

import { useEffect, useRef, useState, type KeyboardEvent, type ReactNode } from 'react'

const OVERSCAN = 6

interface Props {
  count: number
  height: number // of a row
  active: number // the row that is selected, -1: none
  label: string
  row(index: number): ReactNode
  rowId(index: number): string
  choose(index: number): void
}

export function VirtualList({ count, height, active, label, row, rowId, choose }: Props) {
  const box = useRef<HTMLDivElement>(null)
  const [range, setRange] = useState({ from: 0, to: 30 })
  const last = useRef(-1)

  const measure = () => {
    const el = box.current
    if (!el) return
    const from = Math.max(0, Math.floor(el.scrollTop / height) - OVERSCAN)
    const to = Math.ceil((el.scrollTop + el.clientHeight) / height) + OVERSCAN
    setRange(old => old.from === from && old.to === to ? old : { from, to })
  }
  useEffect(() => {
    const el = box.current!
    const observer = new ResizeObserver(measure)
    observer.observe(el)
    return () => observer.disconnect()
  })

  // A row that was chosen elsewhere, on the map, comes into sight; one that moves because others came does not.
  const activeId = active >= 0 ? rowId(active) : ''
  useEffect(() => {
    const el = box.current!
    if (active < 0) return
    const top = active * height
    if (top < el.scrollTop) el.scrollTop = top
    else if (top + height > el.scrollTop + el.clientHeight) el.scrollTop = top + height - el.clientHeight
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [activeId])

  const onKey = (event: KeyboardEvent) => {
    const page = Math.max(1, Math.floor((box.current?.clientHeight ?? height) / height) - 1)
    const by: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -count, End: count }
    const step = by[event.key]
    if (step === undefined || count === 0) return
    event.preventDefault()
    const begin = active >= 0 ? active : step > 0 ? -1 : count
    choose(Math.max(0, Math.min(count - 1, begin + step)))
  }

  const to = Math.min(count, range.to)
  last.current = to
  const rows: ReactNode[] = []
  for (let i = Math.min(range.from, Math.max(0, count - 1)); i < to; i++) {
    rows.push(
      <div key={rowId(i)} id={`row-${i}`} role="option" aria-selected={i === active} aria-setsize={count} aria-posinset={i + 1}
        className="row" data-id={rowId(i)} style={{ transform: `translateY(${i * height}px)`, height }} onClick={() => choose(i)}>
        {row(i)}
      </div>,
    )
  }
  return (
    <div ref={box} className="rows" role="listbox" tabIndex={0} aria-label={label} aria-activedescendant={active >= range.from && active < to ? `row-${active}` : undefined}
      onScroll={measure} onKeyDown={onKey}>
      <div className="sheet" style={{ height: count * height }}>{rows}</div>
    </div>
  )
}
