package floor

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// MinSize is the smallest update, in bytes, that holds what a viewer checks.
const MinSize = 160

// header is the answer to a viewer. Its body ends with the connection, so that nothing is added per write.
const header = "HTTP/1.1 200 OK\r\n" +
	"Content-Type: text/event-stream\r\n" +
	"Cache-Control: no-cache, no-transform\r\n" +
	"X-Accel-Buffering: no\r\n" +
	"Connection: close\r\n\r\n" +
	"event: ready\ndata: {\"sid\":\"floor\",\"assets\":0,\"position\":\"0\"}\n\n"

// chunk is the bytes of a tick: so many updates of the same size, the last of them with an id line.
type chunk struct {
	bytes   []byte
	updates int64
	stamps  []int // where the times stand in bytes
}

// noTime is what stands where a time goes: milliseconds have 13 digits until the year 2286.
const noTime = "0000000000000"

// encode makes a chunk of count updates of size bytes each.
func encode(count, size int) chunk {
	c := chunk{bytes: make([]byte, 0, count*size), updates: int64(count)}
	for i := range count {
		id := ""
		if i == count-1 {
			id = "id: 0\n"
		}
		const format = "%sdata: {\"id\":\"floor-%d\",\"fleet\":\"floor\",\"status\":\"online\",\"at\":" + noTime + ",\"received\":" + noTime + ",\"metrics\":{\"seq\":1,\"pad\":\"%s\"}}\n\n"
		pad := max(size-len(fmt.Sprintf(format, id, i, "")), 0)
		begin := len(c.bytes)
		c.bytes = fmt.Appendf(c.bytes, format, id, i, strings.Repeat("x", pad))
		for range 2 {
			begin += bytes.Index(c.bytes[begin:], []byte(noTime))
			c.stamps = append(c.stamps, begin)
			begin += len(noTime)
		}
	}
	return c
}

// clone is a copy that may be stamped beside others.
func (c *chunk) clone() chunk {
	return chunk{bytes.Clone(c.bytes), c.updates, c.stamps}
}

// stamp writes the time of the tick into each update, so that a viewer knows how long it was under way: what the load
// generator itself takes to read, on the same cores, is most of it.
func (c *chunk) stamp(at time.Time) {
	text := strconv.AppendInt(nil, at.UnixMilli(), 10)
	if len(text) != len(noTime) {
		return // this machine's clock is out of its mind
	}
	for _, where := range c.stamps {
		copy(c.bytes[where:], text)
	}
}
