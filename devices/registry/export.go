package registry

import (
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/fleetcast/fleetcast/devices"
)

// rows yields what q selects as rows, a page at a time, so that an export of many devices holds no lock for long. hashes
// adds what is kept of tokens.
func (r *Registry) rows(q Query, hashes bool, each func(*Row) error) error {
	q.Limit = MaxPage
	for {
		page, next := r.Devices(q)
		for _, d := range page {
			row := Row{Device: *d}
			if hashes {
				r.describe(&row)
			}
			if err := each(&row); err != nil {
				return err
			}
		}
		if next == "" {
			return nil
		}
		q.After = next
	}
}

func (r *Registry) describe(row *Row) {
	c, ok := r.Credential(row.ID.String())
	switch {
	case !ok || c.Token == nil && c.Password == "":
		row.Credential = "none"
	case c.Token != nil:
		row.TokenHash = hex.EncodeToString(c.Token)
	}
}

// ExportJSON writes an array of rows, one a line.
func (r *Registry) ExportJSON(out io.Writer, q Query, hashes bool) error {
	before := "[\n"
	err := r.rows(q, hashes, func(row *Row) error {
		b, err := json.Marshal(row)
		if err != nil {
			return fmt.Errorf("encode row: %w", err)
		}
		_, err = fmt.Fprintf(out, "%s%s", before, b)
		before = ",\n"
		return err
	})
	if err != nil {
		return err
	}
	if before == "[\n" {
		_, err = io.WriteString(out, "[]\n")
		return err
	}
	_, err = io.WriteString(out, "\n]\n")
	return err
}

// ExportCSV writes rows as ReadCSV reads them. The columns of the metadata are all that any of the devices has.
func (r *Registry) ExportCSV(out io.Writer, q Query, hashes bool) error {
	keys, err := r.metadataOf(q)
	if err != nil {
		return err
	}
	w := csv.NewWriter(out)
	columns := slices.Clone(csvColumns)
	if !hashes {
		columns = columns[:slices.Index(columns, "token_sha256")]
	}
	header := slices.Clone(columns)
	for _, key := range keys {
		header = append(header, metaPrefix+key)
	}
	if err := w.Write(header); err != nil {
		return err
	}
	err = r.rows(q, hashes, func(row *Row) error { return w.Write(row.fields(columns, keys)) })
	w.Flush()
	if err == nil {
		err = w.Error()
	}
	return err
}

// maxExportKeys bounds the columns of an export; metadata beyond it is only in the JSON form.
const maxExportKeys = 256

func (r *Registry) metadataOf(q Query) ([]string, error) {
	seen := map[string]struct{}{}
	err := r.rows(q, false, func(row *Row) error {
		for key := range row.Metadata {
			seen[key] = struct{}{}
		}
		if len(seen) > maxExportKeys {
			return devices.Errorf(devices.TooLarge, "metadata", "of these devices has more than %d names: take the JSON form", maxExportKeys)
		}
		return nil
	})
	keys := make([]string, 0, len(seen))
	for key := range seen {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys, err
}

func (row *Row) fields(columns, keys []string) []string {
	var l Limits
	if row.Limits != nil {
		l = *row.Limits
	}
	auto := ""
	if row.Auto {
		auto = "true"
	}
	all := []string{
		row.ID.String(), row.Fleet.String(), row.Name, string(row.Status), countText(l.Messages), countText(l.Bytes), countText(l.Burst), auto,
		strconv.FormatInt(row.Created, 10), strconv.FormatInt(row.Updated, 10), row.TokenHash, row.Credential,
	}
	fields := all[:len(columns):len(columns)]
	for _, key := range keys {
		fields = append(fields, row.Metadata[key])
	}
	return fields
}

func countText(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}
