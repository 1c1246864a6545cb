import { useEffect, useId, useRef, useState, type ReactNode } from 'react'
import { Icon, type IconName } from './Icon.tsx'

// A button that opens a small panel; Escape and a click elsewhere close it.
export function Menu({ label, icon, children }: { label: string, icon: IconName, children: ReactNode }) {
  const [open, setOpen] = useState(false)
  const root = useRef<HTMLDivElement>(null)
  const id = useId()
  useEffect(() => {
    if (!open) return
    const away = (event: Event) => {
      if (event instanceof KeyboardEvent ? event.key === 'Escape' : !root.current?.contains(event.target as Node)) setOpen(false)
    }
    document.addEventListener('pointerdown', away)
    document.addEventListener('keydown', away)
    return () => {
      document.removeEventListener('pointerdown', away)
      document.removeEventListener('keydown', away)
    }
  }, [open])
  return (
    <div className="menu" ref={root}>
      <button type="button" className="opener" aria-label={label} title={label} aria-expanded={open} aria-controls={id} onClick={() => setOpen(!open)}><Icon name={icon} size={22} /></button>
      <div className="popover" id={id} hidden={!open}>{children}</div>
    </div>
  )
}
