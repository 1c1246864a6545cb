package app

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestFailedHandshakesDoNotFloodTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		c := &complaints{log: slog.New(slog.NewTextHandler(&out, nil))}
		for n := range 1000 {
			fmt.Fprintf(c, "http: TLS handshake error %d\n", n)
		}
		<-time.After(complaintEvery)
		fmt.Fprintln(c, "http: the last")
		if got := out.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, `"http: TLS handshake error 0" withheld=0`) || !strings.Contains(got, `"http: the last" withheld=999`) {
			t.Error(got)
		}
	})
}
