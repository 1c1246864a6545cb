package prove

import (
	"hash/fnv"
	"math/rand/v2"
	"sync"
)

// Bounds of the ids that are kept to be resumed later.
const (
	maxIDs = 256
	// oneIDIn is of how many ids one is kept. It is chosen by its hash, so that viewers choose the same ones.
	oneIDIn = 8
)

// idTable keeps some of the ids that viewers were told, each with the least that any viewer held of each device when it
// was told. Whoever resumes with an id gets an answer that depends on nothing else, so the least must be enough.
type idTable struct {
	mu   sync.Mutex // guards what follows
	byID map[idKey][]uint32
	keys []idKey // at most maxIDs; a new one takes the place of any
}

// idKey is an id with what it was told for: those of another filter or another transport are kept apart.
type idKey struct {
	ask       int
	webSocket bool
	id        string
}

func (k idKey) over() transport {
	if k.webSocket {
		return overWebSocket
	}
	return overHTTP1
}

func (t *idTable) note(k idKey, held []uint32) {
	h := fnv.New32a()
	_, _ = h.Write([]byte(k.id))
	if k.id == "" || h.Sum32()%oneIDIn != 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if least, ok := t.byID[k]; ok {
		for i, n := range held {
			least[i] = min(least[i], n)
		}
		return
	}
	if t.byID == nil {
		t.byID = map[idKey][]uint32{}
	}
	if len(t.keys) < maxIDs {
		t.keys = append(t.keys, k)
	} else {
		i := rand.IntN(maxIDs)
		delete(t.byID, t.keys[i])
		t.keys[i] = k
	}
	t.byID[k] = append([]uint32(nil), held...)
}

// pick returns any id and what its holder holds; false means that there is none.
func (t *idTable) pick() (k idKey, held []uint32, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.keys) == 0 {
		return idKey{}, nil, false
	}
	k = t.keys[rand.IntN(len(t.keys))]
	return k, append([]uint32(nil), t.byID[k]...), true
}

func (t *idTable) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.byID, t.keys = nil, nil
}
