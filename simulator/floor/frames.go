package floor

import (
	"fmt"
	"strings"
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

// encode makes the bytes of a tick: count updates of size bytes each, the last of them with an id line.
func encode(count, size int) []byte {
	out := make([]byte, 0, count*size)
	for i := range count {
		id := ""
		if i == count-1 {
			id = "id: 0\n"
		}
		const format = "%sdata: {\"id\":\"floor-%d\",\"fleet\":\"floor\",\"status\":\"online\",\"at\":1,\"received\":1,\"metrics\":{\"pad\":\"%s\"}}\n\n"
		pad := max(size-len(fmt.Sprintf(format, id, i, "")), 0)
		out = fmt.Appendf(out, format, id, i, strings.Repeat("x", pad))
	}
	return out
}
