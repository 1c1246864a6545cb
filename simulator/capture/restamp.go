package capture

import (
	"bytes"
	"regexp"
	"strconv"
	"time"
)

// stamps are the members under which trackers say their time: a number of seconds or milliseconds since 1970, or a text of
// RFC 3339 and what is near it.
var stamps = regexp.MustCompile(`"(?:at|ts|tst|tsi|time|timestamp|created_at|received_at|fixTime|deviceTime|serverTime|eventTimestamp)"\s*:\s*(?:(\d{10})(?:\.\d+)?|(\d{13})|"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))")[,}\]\s]`)

// layouts are those of the texts.
var layouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700"}

// restamp moves the times in a payload by a shift, so that what was recorded is said as of now. Payloads without one stay
// as they are.
func restamp(payload []byte, shift time.Duration) []byte {
	found := stamps.FindAllSubmatchIndex(payload, -1)
	if len(found) == 0 {
		return payload
	}
	var out bytes.Buffer
	last := 0
	for _, m := range found {
		for group := 1; group <= 3; group++ {
			from, to := m[2*group], m[2*group+1]
			if from < 0 {
				continue
			}
			if moved, ok := move(string(payload[from:to]), group, shift); ok {
				out.Write(payload[last:from])
				out.WriteString(moved)
				last = to
			}
		}
	}
	out.Write(payload[last:])
	return out.Bytes()
}

// move shifts one stamp: group 1 is seconds, 2 milliseconds, 3 a text, whose form is kept.
func move(text string, group int, shift time.Duration) (string, bool) {
	if group < 3 {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return "", false
		}
		if group == 1 {
			return strconv.FormatInt(n+int64(shift/time.Second), 10), true
		}
		return strconv.FormatInt(n+shift.Milliseconds(), 10), true
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, text); err == nil {
			return t.Add(shift).Format(layout), true
		}
	}
	return "", false
}
