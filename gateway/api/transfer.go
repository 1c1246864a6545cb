package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/registry"
)

// What many devices at once come and go by.
const (
	exportCSV  = "/api/devices.csv"
	exportJSON = "/api/devices.json"
)

// importTime bounds an import as a whole: its body may come slowly, but not for ever.
const importTime = 5 * time.Minute

// isImport tells whether a request has a body that is read as it comes and may be large.
func isImport(r *http.Request) bool {
	return r.Method == http.MethodPost && (r.URL.Path == exportCSV || r.URL.Path == exportJSON)
}

// patientBody moves the deadline with what comes, until the end of the import.
type patientBody struct {
	io.ReadCloser
	rc  *http.ResponseController
	end time.Time
}

func (b *patientBody) Read(p []byte) (int, error) {
	at := time.Now().Add(readTimeout)
	if at.After(b.end) {
		at = b.end
	}
	_ = b.rc.SetReadDeadline(at) // a writer that has none is a test's
	return b.ReadCloser.Read(p)
}

// exportDevices writes devices in the form that importDevices reads. hashes=true adds what is kept of their tokens, so
// that they can go on using them elsewhere.
func (a *API) exportDevices(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	q, values, err := parseDevices(r, "hashes")
	if err != nil {
		return err
	}
	hashes, err := flag(values.Get("hashes"), "hashes")
	if err != nil {
		return err
	}
	if q.Status == registry.Quarantined {
		return devices.Errorf(devices.Invalid, "status", "cannot be quarantined here: those are no devices yet")
	}
	if hashes && !c.RulesAll() {
		return devices.Errorf(devices.Forbidden, "hashes", "needs an admin of all fleets")
	}
	left := c.Scope.Narrow(q.Fleets)
	if left.IsEmpty() {
		return devices.Errorf(devices.Forbidden, "fleet", "is none of yours")
	}
	q.Fleets = left.Fleets()
	var out bytes.Buffer // what goes wrong must be told before the first byte
	if r.URL.Path == exportCSV {
		w.Header().Set("Content-Type", "text/csv; charset=utf-8")
		err = a.options.Registry.ExportCSV(&out, q, hashes)
	} else {
		w.Header().Set("Content-Type", "application/json")
		err = a.options.Registry.ExportJSON(&out, q, hashes)
	}
	if err != nil {
		return err
	}
	w.Header().Set("Content-Disposition", `attachment; filename="`+r.URL.Path[len("/api/"):]+`"`)
	_, _ = out.WriteTo(w) // a client that is gone needs no answer
	return nil
}

func flag(value, name string) (bool, error) {
	switch value {
	case "true":
		return true, nil
	case "", "false":
		return false, nil
	}
	return false, devices.Errorf(devices.Invalid, name, "is neither true nor false")
}

// importDevices makes devices of the rows of the body, and answers with one line of JSON for each: what became of it,
// and its token, which is shown here and never again. The last line has the numbers, and why it ended early if it did.
//
//	update=true  rows may change devices that there are
//	all=true     nothing is written where any row is wrong
func (a *API) importDevices(w http.ResponseWriter, r *http.Request) error {
	values, err := parseQuery(r, "update", "all")
	if err != nil {
		return err
	}
	var o registry.ImportOptions
	if o.Update, err = flag(values.Get("update"), "update"); err != nil {
		return err
	}
	if o.All, err = flag(values.Get("all"), "all"); err != nil {
		return err
	}
	select { // one at a time: each holds its report in memory
	case a.importing <- struct{}{}:
		defer func() { <-a.importing }()
	default:
		return devices.Errorf(devices.Exhausted, "", "another import is under way; try again when it is through")
	}
	var lines iter.Seq[registry.Line]
	if r.URL.Path == exportCSV {
		lines = registry.ReadCSV(r.Body)
	} else {
		lines = registry.ReadJSON(r.Body)
	}
	var report bytes.Buffer
	enc := json.NewEncoder(&report)
	sum, err := a.options.Registry.Import(r.Context(), lines, o, func(out registry.Outcome) error { return enc.Encode(out) })
	if err != nil {
		err = importError(err)
		if report.Len() == 0 {
			return err
		}
	}
	end := struct {
		registry.Summary
		Error string `json:"error,omitempty"`
	}{Summary: sum}
	if err != nil {
		a.log.Warn("an import ended early", "error", err)
		end.Error = "it ended here: " + publicText(err)
	}
	if err := enc.Encode(end); err != nil {
		return err
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout)) // the import took its own time
	w.Header().Set("Content-Type", "application/x-ndjson")
	_, _ = report.WriteTo(w) // a client that is gone needs no answer
	return nil
}

// importError makes an error of reading the body one that a client may see.
func importError(err error) error {
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return devices.Errorf(devices.TooLarge, "", "the body is larger than %d bytes", tooLarge.Limit)
	}
	return err
}

func publicText(err error) string {
	if e, ok := errors.AsType[*devices.Error](err); ok && e.Kind != devices.Internal {
		return (&devices.Error{Field: e.Field, Detail: e.Detail}).Error()
	}
	return "it could not be read, or not kept"
}
