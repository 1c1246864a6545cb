// A small chart over time. uPlot draws it on a canvas; the caption says what matters of it in words.

import { useEffect, useRef } from 'react'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { clock, few, minutes, number } from '../format.ts'
import { isDark } from '../state/prefs.ts'
import { useValue } from '../state/store.ts'

interface Props { label: string, unit: string, times: number[], values: (number | null)[], title?: string }

const HEIGHT = 74

export function Chart({ label, unit, times, values, title }: Props) {
  const box = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  const at = useRef<HTMLSpanElement>(null)
  const dark = useValue(isDark)
  useEffect(() => {
    const el = box.current!
    const style = getComputedStyle(el)
    const line = style.getPropertyValue('--accent').trim()
    const grid = style.getPropertyValue('--line').trim()
    const text = style.getPropertyValue('--quiet').trim()
    const axis = { stroke: text, grid: { stroke: grid, width: 1 }, ticks: { show: false }, font: "11px 'Inter Variable', sans-serif" }
    plot.current = new uPlot({
      width: el.clientWidth, height: HEIGHT, legend: { show: false }, padding: [6, 4, 0, 0],
      cursor: { y: false, points: { size: 7 }, drag: { x: false, y: false } },
      scales: { y: { range: (_, low, high) => low === null || high === null ? [0, 1] : spread(low, high) } },
      axes: [{ ...axis, size: 20, space: 80, grid: { show: false }, values: (_, splits, __, ___, step) => splits.map(s => (step < 60 ? clock : minutes)(s * 1000)) }, { ...axis, size: 38, space: 26, values: (_, splits) => splits.map(s => Math.abs(s) < 10_000 ? number(s, 2) : few(s)) }],
      series: [{}, { stroke: line, width: 1.6, fill: `${line}22`, spanGaps: false, points: { show: false } }],
      hooks: {
        setCursor: [u => {
          const i = u.cursor.idx
          const value = i === null || i === undefined ? null : u.data[1]![i]
          if (at.current) at.current.textContent = value === null || value === undefined ? '' : `${[number(value, 2), unit].join(' ').trim()}, ${clock(u.data[0]![i!]! * 1000)}`
        }],
      },
    }, [times, values], el)
    const observer = new ResizeObserver(() => plot.current?.setSize({ width: el.clientWidth, height: HEIGHT }))
    observer.observe(el)
    return () => {
      observer.disconnect()
      plot.current?.destroy()
      plot.current = null
    }
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [dark, unit])
  useEffect(() => { plot.current?.setData([times, values]) }, [times, values])
  const known = values.filter(v => v !== null)
  const low = Math.min(...known)
  const high = Math.max(...known)
  const digits = high - low < 1 ? 2 : high - low < 10 ? 1 : 0
  return (
    <figure className="chart" title={title}>
      <figcaption><span>{label}</span><span ref={at} className="quiet" /><span className="quiet range">{rangeOf(number(low, digits), number(high, digits))} {unit}</span></figcaption>
      <div ref={box} />
    </figure>
  )
}

// What did not move is one number.
function rangeOf(low: string, high: string): string {
  return low === high ? low : `${low} – ${high}`
}

function spread(low: number, high: number): [number, number] {
  const room = Math.max((high - low) * 0.12, Math.abs(high) * 0.02, 0.05)
  return [low >= 0 ? Math.max(0, low - room) : low - room, high + room]
}
