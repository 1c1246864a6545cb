package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/fleetcast/fleetcast/devices"
)

// transferFormat is the form of many devices at once.
type transferFormat struct {
	Format string `help:"csv or json; without it the file's name says." enum:"csv,json," default:""`
}

func (f transferFormat) path(file string) (path, contentType string, err error) {
	format := f.Format
	if format == "" {
		switch {
		case strings.HasSuffix(file, ".csv"):
			format = "csv"
		case strings.HasSuffix(file, ".json"), strings.HasSuffix(file, ".ndjson"):
			format = "json"
		default:
			return "", "", devices.Errorf(devices.Invalid, "format", "is missing: the file's name does not say it")
		}
	}
	return "/api/devices." + format, map[string]string{"csv": "text/csv", "json": "application/json"}[format], nil
}

type importDevicesCommand struct {
	remote
	transferFormat
	File   string `arg:"" help:"The file; - is standard input."`
	Update bool   `help:"Rows may change devices that there are."`
	All    bool   `help:"Write nothing where any row is wrong."`
}

// errPartly says that some rows were refused; which, was printed.
var errPartly = devices.Errorf(devices.Conflict, "", "some rows were not imported: see what was printed")

// Run sends the file and prints what became of each row.
func (c *importDevicesCommand) Run(ctx context.Context, t *terminal) error {
	path, contentType, err := c.path(c.File)
	if err != nil {
		return err
	}
	in := t.in
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return fmt.Errorf("read rows: %w", err)
		}
		defer f.Close()
		in = f
	}
	query := url.Values{}
	if c.Update {
		query.Set("update", "true")
	}
	if c.All {
		query.Set("all", "true")
	}
	ctx, cancel := context.WithTimeout(ctx, importTimeout)
	defer cancel()
	res, err := c.send(ctx, http.MethodPost, path, query, contentType, io.NopCloser(in))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	return copyReport(t, res.Body)
}

// copyReport prints the lines of a report as they come. The last has the numbers.
func copyReport(t *terminal, report io.Reader) error {
	lines := bufio.NewScanner(report)
	lines.Buffer(nil, 1<<20)
	var last string
	for lines.Scan() {
		last = lines.Text()
		if _, err := fmt.Fprintln(t.out, last); err != nil {
			return fmt.Errorf("print report: %w", err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read report: %w", err)
	}
	var sum struct {
		Failed int
		Error  string
	}
	switch {
	case json.Unmarshal([]byte(last), &sum) != nil:
		return fmt.Errorf("read report: it has no end")
	case sum.Error != "":
		return devices.Errorf(devices.Conflict, "", "the import ended early: %s", sum.Error)
	case sum.Failed > 0:
		return errPartly
	}
	return nil
}

type exportDevicesCommand struct {
	remote
	deviceFilter
	Format string `help:"csv or json." enum:"csv,json" default:"csv"`
	Hashes bool   `help:"With what is kept of tokens, so that the devices can go on using theirs where this is imported."`
}

// Run prints the export.
func (c *exportDevicesCommand) Run(ctx context.Context, t *terminal) error {
	query := c.query()
	if c.Hashes {
		query.Set("hashes", "true")
	}
	ctx, cancel := context.WithTimeout(ctx, importTimeout)
	defer cancel()
	res, err := c.send(ctx, http.MethodGet, "/api/devices."+c.Format, query, "", nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(t.out, res.Body); err != nil {
		return fmt.Errorf("print export: %w", err)
	}
	return nil
}
