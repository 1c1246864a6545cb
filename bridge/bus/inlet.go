package bus

// inlet is the queue of a partition's entries that no owner has consumed yet. It has no lock and no bound of its own:
// the partition holds the one and checks the other before it pushes.
type inlet struct {
	entries  []Entry // entries[head:] are held, and their ids have no gaps
	head     int
	bytes    int
	last     EntryID // the newest
	lastTime int64
	consumed EntryID
}

func (q *inlet) len() int { return len(q.entries) - q.head }

// push gives the entries their ids and their time, which never decreases even where the clock does.
func (q *inlet) push(entries []Entry, now int64) {
	q.lastTime = max(q.lastTime, now)
	for i := range entries {
		e := entries[i]
		q.last++
		e.ID, e.Time = q.last, q.lastTime
		q.entries = append(q.entries, e)
	}
	q.bytes += entriesBytes(entries)
}

// after returns a copy of at most limit entries that follow id.
func (q *inlet) after(id EntryID, limit int) []Entry {
	from := q.head + int(id-q.consumed)
	n := min(limit, len(q.entries)-from)
	return append([]Entry(nil), q.entries[from:from+n]...) // nil where n is 0
}

// trim drops what is consumed up to id. An id from before is no news.
func (q *inlet) trim(id EntryID) {
	if id <= q.consumed {
		return
	}
	gone := q.entries[q.head : q.head+int(id-q.consumed)]
	q.bytes -= entriesBytes(gone)
	q.head += len(gone)
	q.consumed = id
	clear(gone) // lets the readings go
	if q.head > len(q.entries)/2 {
		kept := copy(q.entries, q.entries[q.head:])
		clear(q.entries[kept:])
		q.entries, q.head = q.entries[:kept], 0
	}
}

// age is how long the oldest entry has waited, in ms.
func (q *inlet) age(now int64) int64 {
	if q.len() == 0 {
		return 0
	}
	return max(0, now-q.entries[q.head].Time)
}

// What an entry costs in memory, about: the bound of an inlet needs no exactness, and this is the hot path.
const (
	entryCost   = 128
	readingCost = 128
	metricCost  = 64
)

func entriesBytes(entries []Entry) int {
	n := len(entries) * entryCost
	for i := range entries {
		e := &entries[i]
		n += len(e.Device.String()) + len(e.Fleet.String())
		if a := e.Acknowledgement; a != nil {
			n += len(a.Alert) + len(a.By) + len(a.Text)
		}
		switch {
		case e.Command != nil:
			n += entryCost + len(e.Command.Name) + len(e.Command.Params) + len(e.Command.By)
		case e.Report != nil:
			n += entryCost + len(e.Report.Result) + len(e.Report.Error)
		}
		if e.Reading == nil {
			continue
		}
		n += readingCost + len(e.Reading.Metrics)*metricCost
		for j := range e.Reading.Metrics {
			m := &e.Reading.Metrics[j]
			n += len(m.Name) + len(m.Value.Text)
		}
	}
	return n
}
