package app

import (
	"log/slog"
	"strings"
	"sync"
	"time"
)

// complaintEvery is how often at most the HTTP server's own complaints are logged, as those of a handshake that failed: whoever connects
// can cause one.
const complaintEvery = 10 * time.Second

// complaints takes what net/http writes of single connections, a line each. One is logged, with how many were not since the last.
type complaints struct {
	log *slog.Logger

	mu       sync.Mutex
	last     time.Time
	withheld int
}

// Write implements io.Writer.
func (c *complaints) Write(line []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); c.last.IsZero() || now.Sub(c.last) >= complaintEvery {
		c.log.Warn("the http server had trouble with a connection", "cause", strings.TrimSpace(string(line)), "withheld", c.withheld)
		c.last, c.withheld = now, 0
		return len(line), nil
	}
	c.withheld++
	return len(line), nil
}
