package api

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// backupProgress is how long a reader of a backup may take nothing.
const backupProgress = time.Minute

// backup answers with a copy of all that is kept. It is one at a time: each holds what it copies in memory. Who asks shows
// the proof of an admin wherever proofs are asked for at all, also on this machine: a backup has everybody's credentials.
func (a *API) backup(o *AdminOptions) http.Handler {
	proved := &API{options: Options{Auth: o.Auth}, log: o.Logger}
	if !o.Local && o.Auth == nil {
		return proved.handle(forbidElsewhere)
	}
	var one sync.Mutex
	return proved.identify(proved.handle(proved.guard(need{role: devices.Admin, all: true}, plain(func(w http.ResponseWriter, r *http.Request) error {
		if _, err := parseQuery(r); err != nil {
			return err
		}
		if o.Backup == nil {
			return devices.Errorf(devices.Conflict, "", "nothing is kept in a directory of this process: Redis has its own backups, and --in-memory keeps nothing")
		}
		if !one.TryLock() {
			return devices.Errorf(devices.Conflict, "", "another backup is being made")
		}
		defer one.Unlock()
		if r.Method == http.MethodHead {
			return nil
		}
		w.Header().Set("Content-Type", "application/x-tar")
		if err := o.Backup(r.Context(), &patientWriter{w, http.NewResponseController(w)}); err != nil {
			o.Logger.WarnContext(r.Context(), "a backup was not made", "error", err)
			panic(http.ErrAbortHandler) // the answer has begun: it is cut
		}
		return nil
	}))))
}

// patientWriter bounds the time without progress, and not that of the whole.
type patientWriter struct {
	io.Writer
	control *http.ResponseController
}

func (p *patientWriter) Write(b []byte) (int, error) {
	if err := p.control.SetWriteDeadline(time.Now().Add(backupProgress)); err != nil {
		return 0, err
	}
	return p.Writer.Write(b)
}

// BackupFunc writes a copy of all that is kept.
type BackupFunc func(ctx context.Context, to io.Writer) error
