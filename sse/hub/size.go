package hub

// viewSize is how many assets a view showed when it stood at a head.
type viewSize struct {
	head *vector
	n    int
}

// size is about the number of assets that the view shows now. It is counted once a tick: in a storm all viewers ask.
func (v *view) size() int {
	head := v.state.Load().head
	if s := v.sized.Load(); s != nil && s.head == head {
		return s.n
	}
	n := 0
	for _, t := range v.tables {
		t.mu.RLock()
		n += v.sizeIn(t)
		t.mu.RUnlock()
	}
	v.sized.Store(&viewSize{head, n})
	return n
}

// sizeIn is how many of them are in a locked table.
func (v *view) sizeIn(t *table) (n int) {
	switch {
	case v.byHash != nil:
		for _, w := range v.byHash {
			if r := t.devices[w.id]; r != nil && r.frame != nil && v.reads(t, r) {
				n++
			}
		}
	case !v.query.BBox.IsZero():
		for r := range v.members(t) {
			if v.readsFleet(r) {
				n++
			}
		}
	case v.fleets != nil:
		for id := range v.fleets {
			if f := t.fleets[id]; f != nil {
				n += f.live
			}
		}
	default:
		return t.live
	}
	return n
}
