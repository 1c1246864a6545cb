package prove

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/simulator/measure"
)

// Merge is the ledger of several processes' parts: each numbered the messages of its own devices, and wrote down what its
// own viewers were told of these. So a message has an end at each viewer of its own part, and the sums are sums; the medians
// of recoveries are those of all recoveries. Examples are left out.
func Merge(parts []*Report) Report {
	out := *parts[0]
	out.Recoveries, out.Worst, out.Opened, out.Answers, out.Breaches, out.Examples = nil, nil, nil, nil, map[Kind]int64{}, nil
	var prefixes []string
	var ready, whole []time.Duration
	for i, p := range parts {
		prefixes = append(prefixes, p.Prefix)
		measure.AddMap(&out.Opened, p.Opened)
		measure.AddMap(&out.Answers, p.Answers)
		measure.AddMap(&out.Breaches, p.Breaches)
		for _, w := range p.Worst {
			w.Prefix = cmp.Or(w.Prefix, p.Prefix)
			out.Worst = append(out.Worst, w)
		}
		for _, r := range p.Recoveries {
			out.Recoveries = append(out.Recoveries, r)
			ready, whole = append(ready, r.Ready), append(whole, r.Whole)
		}
		if i > 0 {
			out.add(p)
		}
	}
	out.Prefix = strings.Join(prefixes, ", ")
	out.ReadyP50, out.ReadyMax = middle(ready)
	out.WholeP50, out.WholeMax = middle(whole)
	sortWorst(out.Worst)
	out.Worst = out.Worst[:min(maxWorst, len(out.Worst))]
	return out
}

func (r *Report) add(p *Report) {
	r.Seconds, r.Durable = max(r.Seconds, p.Seconds), r.Durable && p.Durable
	r.Devices, r.Viewers = r.Devices+p.Devices, r.Viewers+p.Viewers
	measure.Add(&r.Totals, p.Totals)
	r.HeldBack, r.Streams, r.Moves, r.Gone = r.HeldBack+p.HeldBack, r.Streams+p.Streams, r.Moves+p.Moves, r.Gone+p.Gone
	r.Probes, r.Refusals, r.Faults = r.Probes+p.Probes, r.Refusals+p.Refusals, r.Faults+p.Faults
	r.Audits, r.Kept = r.Audits+p.Audits, r.Kept+p.Kept
}

func sortWorst(all []DeviceWorst) {
	slices.SortStableFunc(all, func(a, b DeviceWorst) int {
		return cmp.Or(cmp.Compare(b.Lost, a.Lost), cmp.Compare(b.Stale, a.Stale))
	})
}
