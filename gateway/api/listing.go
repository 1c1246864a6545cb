package api

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/fleetcast/fleetcast/devices"
)

// The parameters that every list has.
var listParameters = []string{"limit", "after", "search", "sort"}

// maxSearch bounds a text that is searched for, and maxCursor a next.
const (
	maxSearch = 512
	maxCursor = 2048
)

// sortKey is what a list is sorted by. What has none stands last, whichever way.
type sortKey struct {
	text   string
	number float64
	absent bool
}

func byText(s string) sortKey { return sortKey{text: strings.ToLower(s), absent: s == ""} }

func byNumber[N ~int | ~int64 | ~float64](n N) sortKey { return sortKey{number: float64(n)} }

// byTime is absent where the time is 0.
func byTime(ms int64) sortKey { return sortKey{number: float64(ms), absent: ms == 0} }

// listing is how a list of things is searched, sorted and paged.
type listing[T any] struct {
	id   func(T) string
	text func(T) []string // what a search looks at, beside the id
	keys map[string]func(T) sortKey
}

// order is a sorting that was asked for. The zero one is by id.
type order struct {
	name string
	desc bool
}

// cursor is a place in a sorted list: behind the thing that had this key and id. It is the next of a list that is not
// sorted by id, whose next is the id.
type cursor struct {
	Sort   string  `json:"s"`
	Text   string  `json:"t,omitempty"`
	Number float64 `json:"n,omitempty"`
	Absent bool    `json:"a,omitempty"`
	ID     string  `json:"i"`
}

// listQuery is what every list is asked.
type listQuery struct {
	limit  int
	after  string // as it came
	search string // in lower case
	order  order
	behind *cursor // nil: at the beginning, or sorted by id
}

// parse reads the parameters that every list has.
func (l *listing[T]) parse(values url.Values) (q listQuery, err error) {
	q.limit = DefaultLimit
	if values.Has("limit") {
		n, err := strconv.ParseUint(values.Get("limit"), 10, 32)
		if err != nil || n < 1 || n > MaxLimit {
			return q, devices.Errorf(devices.Invalid, "limit", "is no whole number from 1 to %d", MaxLimit)
		}
		q.limit = int(n)
	}
	if q.search = strings.ToLower(values.Get("search")); len(q.search) > maxSearch {
		return q, devices.Errorf(devices.Invalid, "search", "is longer than %d bytes", maxSearch)
	}
	if values.Has("sort") {
		q.order.name, q.order.desc = strings.CutPrefix(values.Get("sort"), "-")
		if q.order.name == "id" && !q.order.desc {
			q.order.name = ""
		} else if q.order.name != "id" && l.keys[q.order.name] == nil {
			names := append([]string{"id"}, slices.Sorted(maps.Keys(l.keys))...)
			return q, devices.Errorf(devices.Invalid, "sort", "is none of %s, or one of them behind a '-'", strings.Join(names, ", "))
		}
	}
	q.after = values.Get("after")
	return q, q.parseAfter(values)
}

func (q *listQuery) parseAfter(values url.Values) error {
	if !values.Has("after") {
		return nil
	}
	bad := devices.Errorf(devices.Invalid, "after", "is not what a list gave as next")
	if !q.isSorted() {
		return checkAfter(q.after)
	}
	text, err := base64.RawURLEncoding.DecodeString(q.after)
	q.behind = new(cursor)
	if len(q.after) > maxCursor || err != nil || json.Unmarshal(text, q.behind) != nil || q.behind.Sort != values.Get("sort") {
		return bad
	}
	return nil
}

// checkAfter refuses what was no id of anything.
func checkAfter(after string) error {
	isControl := strings.ContainsFunc(after, unicode.IsControl)
	if after == "" || len(after) > devices.MaxIDBytes || !utf8.ValidString(after) || isControl {
		return devices.Errorf(devices.Invalid, "after", "is not what a list gave as next")
	}
	return nil
}

// isSorted tells whether the list is to be sorted by something else than the id, upwards.
func (q *listQuery) isSorted() bool { return q.order.name != "" }

func (l *listing[T]) keyOf(q *listQuery, t T) sortKey {
	if f := l.keys[q.order.name]; f != nil {
		return f(t)
	}
	return sortKey{} // by id
}

// compare orders two things.
func (q *listQuery) compare(a sortKey, aID string, b sortKey, bID string) int {
	if a.absent != b.absent {
		if a.absent {
			return 1
		}
		return -1
	}
	way := cmp.Or(cmp.Compare(a.number, b.number), strings.Compare(a.text, b.text), strings.Compare(aID, bID))
	if q.order.desc {
		return -way
	}
	return way
}

// finds tells whether a search finds a thing.
func (l *listing[T]) finds(q *listQuery, t T) bool {
	if q.search == "" || strings.Contains(strings.ToLower(l.id(t)), q.search) {
		return true
	}
	return slices.ContainsFunc(l.text(t), func(s string) bool { return strings.Contains(strings.ToLower(s), q.search) })
}

// page is the part of all that is asked for, and the next.
func (l *listing[T]) page(q *listQuery, all []T) (page []T, next string) {
	type item struct {
		thing T
		id    string
		key   sortKey
	}
	var items []item
	for _, t := range all {
		it := item{t, l.id(t), l.keyOf(q, t)}
		isBefore := false
		switch {
		case q.behind != nil:
			isBefore = q.compare(it.key, it.id, sortKey{q.behind.Text, q.behind.Number, q.behind.Absent}, q.behind.ID) <= 0
		case !q.isSorted():
			isBefore = q.after != "" && it.id <= q.after
		}
		if !isBefore && l.finds(q, t) {
			items = append(items, it)
		}
	}
	slices.SortFunc(items, func(a, b item) int { return q.compare(a.key, a.id, b.key, b.id) })
	if len(items) > q.limit {
		items = items[:q.limit]
		last := &items[q.limit-1]
		next = last.id
		if q.isSorted() {
			next = q.cursorAt(last.key, last.id)
		}
	}
	for i := range items {
		page = append(page, items[i].thing)
	}
	return page, next
}

func (q *listQuery) cursorAt(key sortKey, id string) string {
	sort := q.order.name
	if q.order.desc {
		sort = "-" + sort
	}
	text, err := json.Marshal(cursor{sort, key.text, key.number, key.absent, id})
	if err != nil {
		return id // numbers are finite and texts are text
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// pageOf reads the query of a list, whose own parameters are known, and returns the page of all.
func pageOf[T any](r *http.Request, l *listing[T], all func(values url.Values) ([]T, error), known ...string) (page []T, next string, err error) {
	values, err := parseQuery(r, append(known, listParameters...)...)
	if err != nil {
		return nil, "", err
	}
	q, err := l.parse(values)
	if err != nil {
		return nil, "", err
	}
	things, err := all(values)
	if err != nil {
		return nil, "", err
	}
	page, next = l.page(&q, things)
	return page, next, nil
}

// oneOf reads a parameter that names one of a few values; "" where it is not there.
func oneOf(values url.Values, name string, among ...string) (string, error) {
	value := values.Get(name)
	if values.Has(name) && !slices.Contains(among, value) {
		return "", devices.Errorf(devices.Invalid, name, "is none of %s", strings.Join(among, ", "))
	}
	return value, nil
}
