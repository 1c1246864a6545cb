import { describe, expect, it } from 'vitest'
import { Alerts, type Alert } from '../src/state/alerts.ts'

const alert = (more: Partial<Alert> = {}): Alert => ({ id: 'a1', rule: 'speed', device: 'd', fleet: 'f', state: 'raised', at: 10, raised: 10, severity: 'critical', ...more })

describe('alerts', () => {
  it('go from raised to acknowledged to cleared and never back', () => {
    const alerts = new Alerts()
    const ranks: number[] = []
    const raised: string[] = []
    alerts.onDevice = (_, rank) => ranks.push(rank)
    alerts.onRaised = a => raised.push(a.id)
    alerts.step(alert())
    alerts.step(alert())
    alerts.step(alert({ state: 'acknowledged', at: 20 }))
    alerts.step(alert()) // told again by a resume, or an older page
    expect([alerts.byId.get('a1')!.state, alerts.counts().raised, ranks, raised]).toEqual(['acknowledged', 0, [3, 3], ['a1']])
    alerts.step(alert({ state: 'cleared', at: 30 }))
    expect(ranks.at(-1)).toBe(0)
  })

  it('count the worst of what waits', () => {
    const alerts = new Alerts()
    alerts.step(alert({ severity: 'info' }))
    alerts.step(alert({ id: 'a2', severity: undefined }))
    alerts.step(alert({ id: 'a3', severity: 'critical', state: 'cleared' }))
    expect(alerts.counts()).toEqual({ raised: 2, worst: 'warning' })
  })

  it('are bounded, and what is over goes first', () => {
    const alerts = new Alerts()
    for (let i = 0; i < 1100; i++) alerts.step(alert({ id: `x${i}`, raised: i, at: i, state: i === 500 ? 'cleared' : 'raised' }))
    expect([alerts.byId.size, alerts.byId.has('x500'), alerts.byId.has('x1099')]).toEqual([1000, false, true])
  })

  it('take nothing odd', () => {
    const alerts = new Alerts()
    for (const odd of [null, 7, {}, { id: 'x' }, { id: 'x', device: 'd', state: 'odd' }]) alerts.step(odd)
    expect(alerts.byId.size).toBe(0)
  })
})
