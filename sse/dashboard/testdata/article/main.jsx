// A page around the article's hook. The hook is the article's, word for word; a test compares it with hook.txt.

import { useEffect, useState } from 'react'
import { createRoot } from 'react-dom/client'

function useAssets() {
  // React — consuming SSE asset stream
  const [assets, setAssets] = useState({})
  useEffect(() => {
    const source = new EventSource('/stream/assets')
    source.onmessage = (e) => {
      const asset = JSON.parse(e.data)
      setAssets(prev => ({ ...prev, [asset.id]: asset }))
    }
    // Browser auto-reconnects on disconnect — no code needed
    return () => source.close()
  }, [])
  return assets
}

function Assets() {
  const assets = Object.values(useAssets())
  return (
    <ul id="assets" data-count={assets.length}>
      {assets.map(asset => (
        <li key={asset.id} data-id={asset.id} data-asset={JSON.stringify(asset)}>
          {asset.name ?? asset.id} ({asset.fleet}): {asset.status}, {asset.lat}, {asset.lon}, {asset.speed} m/s
        </li>
      ))}
    </ul>
  )
}

createRoot(document.getElementById('root')).render(<Assets />)
