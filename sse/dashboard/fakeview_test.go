package dashboard_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// fakeBox is west, south, east, north of a view; empty, it is the world. As the gateway has it, a box may cross 180
// degrees, and an asset without a place is in none.
type fakeBox []float64

func boxIn(text string) (box fakeBox) {
	if text == "" {
		return nil
	}
	for part := range strings.SplitSeq(text, ",") {
		v, err := strconv.ParseFloat(part, 64)
		if err != nil {
			return nil
		}
		box = append(box, v)
	}
	return box
}

func (b fakeBox) holds(asset []byte) bool {
	if len(b) != 4 {
		return true
	}
	var at struct{ Lat, Lon *float64 }
	if err := json.Unmarshal(asset, &at); err != nil || at.Lat == nil || at.Lon == nil {
		return false
	}
	between := *at.Lon >= b[0] && *at.Lon <= b[2]
	if b[0] > b[2] {
		between = *at.Lon >= b[0] || *at.Lon <= b[2]
	}
	return between && *at.Lat >= b[1] && *at.Lat <= b[3]
}

// putView changes the box of an open stream: what enters comes, what leaves is removed, and then it is said.
func (f *fakeStream) putView(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Seq  int
		Bbox fakeBox
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s, ok := f.conns[r.PathValue("sid")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	s.pending()
	before := s.box
	s.box = body.Bbox
	var entered [][]byte
	for _, asset := range f.assets {
		switch was, is := before.holds(asset), s.box.holds(asset); {
		case is && !was:
			entered = append(entered, asset)
		case was && !is:
			s.removed(asset)
		}
	}
	s.frames(entered)
	s.event("view", fmt.Appendf(nil, `{"seq":%d}`, body.Seq), s.id())
	close(f.changed)
	f.changed = make(chan struct{})
	w.WriteHeader(http.StatusNoContent)
}

// removed says that an asset is out of the view.
func (s *fakeConn) removed(asset []byte) {
	var of struct{ ID, Fleet string }
	if json.Unmarshal(asset, &of) == nil {
		s.event("removed", fmt.Appendf(nil, `{"id":%q,"fleet":%q}`, of.ID, of.Fleet), "")
	}
}

// newestBox is what the newest stream shows.
func (f *fakeStream) newestBox() fakeBox {
	f.mu.Lock()
	defer f.mu.Unlock()
	newest, open := f.conns[fmt.Sprintf("s%d", f.opened)]
	if !open {
		return nil
	}
	return newest.box
}
