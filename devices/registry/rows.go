package registry

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/secret"
)

// Bounds of an import.
const (
	MaxImportRows  = 100_000
	MaxImportBytes = 64 << 20
)

// Row is a device on its way in or out, with what an export may say of its credential.
type Row struct {
	Device
	// TokenHash is the SHA-256 of the device's token in hexadecimal: who has the token can go on using it.
	TokenHash string `json:"token_sha256,omitempty"`
	// Credential is "none" for a device that shows a certificate or a JWT; "" makes a token where there is no hash.
	Credential string `json:"credential,omitempty"`
}

// secret is what the row says of the credential.
func (row *Row) secret() (Secret, error) {
	switch {
	case row.Credential == "none" && row.TokenHash == "":
		return Secret{None: true}, nil
	case row.Credential != "" && row.Credential != "token":
		return Secret{}, devices.Errorf(devices.Invalid, "credential", "is none of token, none")
	case row.TokenHash == "":
		return Secret{}, nil
	}
	hash, err := hex.DecodeString(row.TokenHash)
	if err != nil || len(hash) != secret.HashBytes {
		return Secret{}, devices.Errorf(devices.Invalid, "token_sha256", "is no SHA-256 in hexadecimal")
	}
	return Secret{TokenHash: hash}, nil
}

// Line is a row that was read, or what is wrong with it. After an error with Ends nothing more can be read.
type Line struct {
	Number int // of the text, from 1
	Row    Row
	Err    error
	Ends   bool
}

// csvColumns are the columns besides the metadata, whose names begin with metaPrefix.
var csvColumns = []string{
	"id", "fleet", "name", "status", "messages_per_second", "bytes_per_second", "burst_s", "auto", "created", "updated", "token_sha256", "credential",
}

const metaPrefix = "meta."

// ReadCSV reads rows of CSV (RFC 4180) whose first line names the columns. A column of another name is an error: a
// misspelt one would be lost in silence.
func ReadCSV(in io.Reader) iter.Seq[Line] {
	return func(yield func(Line) bool) {
		r := csv.NewReader(skipBOM(in))
		r.ReuseRecord = true
		header, err := r.Read()
		if err != nil {
			yield(Line{Number: 1, Err: csvError(err, "has no first line with the names of the columns"), Ends: true})
			return
		}
		header = slices.Clone(header)
		if err := checkHeader(header); err != nil {
			yield(Line{Number: 1, Err: err, Ends: true})
			return
		}
		for {
			line, ok := readLine(r, header)
			if !ok || !yield(line) || line.Ends {
				return
			}
		}
	}
}

// readLine reads one row. It returns false at the end.
func readLine(r *csv.Reader, header []string) (Line, bool) {
	fields, err := r.Read()
	var line Line
	if len(fields) > 0 {
		line.Number, _ = r.FieldPos(0)
	}
	switch {
	case errors.Is(err, io.EOF):
		return line, false
	case err == nil:
		line.Err = line.Row.parse(header, fields)
		return line, true
	}
	line.Err, line.Ends = csvError(err, "is no CSV"), true
	if wrong, ok := errors.AsType[*csv.ParseError](err); ok {
		line.Number = wrong.StartLine
		line.Ends = !errors.Is(wrong.Err, csv.ErrFieldCount) // the rest of the text may still be read
	}
	return line, true
}

// skipBOM drops the mark that spreadsheets put before UTF-8.
func skipBOM(in io.Reader) io.Reader {
	b := bufio.NewReader(in)
	if mark, err := b.Peek(3); err == nil && string(mark) == "\ufeff" {
		_, _ = b.Discard(3)
	}
	return b
}

func checkHeader(header []string) error {
	for i, name := range header {
		switch {
		case slices.Contains(header[:i], name):
			return devices.Errorf(devices.Invalid, "columns", "have %q twice", name)
		case !slices.Contains(csvColumns, name) && !strings.HasPrefix(name, metaPrefix):
			return devices.Errorf(devices.Invalid, "columns", "have %q, which is none of %s, %s…", name, strings.Join(csvColumns, ", "), metaPrefix)
		}
	}
	if !slices.Contains(header, "id") {
		return devices.Errorf(devices.Invalid, "columns", "have no id")
	}
	return nil
}

// csvError says what is wrong with a line without repeating it: it may hold a secret.
func csvError(err error, otherwise string) error {
	wrong, ok := errors.AsType[*csv.ParseError](err)
	switch {
	case ok && errors.Is(wrong.Err, csv.ErrFieldCount):
		return devices.Errorf(devices.Invalid, "line", "has not as many fields as there are columns")
	case ok:
		return devices.Errorf(devices.Invalid, "line", "is no CSV: a quote stands where it cannot")
	case errors.Is(err, io.EOF):
		return devices.Errorf(devices.Invalid, "line", "%s", otherwise)
	}
	return fmt.Errorf("read rows: %w", err)
}

func (row *Row) parse(header, fields []string) error {
	var l Limits
	for i, name := range header {
		value := fields[i]
		if value == "" {
			continue
		}
		value = strings.Clone(value) // the reader's memory is its own
		var err error
		switch name {
		case "id":
			row.ID, err = devices.ParseDeviceID(value)
		case "fleet":
			row.Fleet, err = devices.ParseFleetID(value)
		case "name":
			row.Name = value
		case "status":
			row.Status = Status(value)
		case "messages_per_second":
			l.Messages, err = parseCount(name, value)
		case "bytes_per_second":
			l.Bytes, err = parseCount(name, value)
		case "burst_s":
			l.Burst, err = parseCount(name, value)
		case "token_sha256":
			row.TokenHash = value
		case "credential":
			row.Credential = value
		case "auto", "created", "updated": // of an export; they are ours
		default:
			if row.Metadata == nil {
				row.Metadata = map[string]string{}
			}
			row.Metadata[strings.TrimPrefix(name, metaPrefix)] = value
		}
		if err != nil {
			return err
		}
	}
	if l != (Limits{}) {
		row.Limits = &l
	}
	return nil
}

func parseCount(name, value string) (int, error) {
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		return 0, devices.Errorf(devices.Invalid, name, "is no whole number")
	}
	return int(n), nil
}

// ReadJSON reads rows of an array of objects, or of objects one after the other.
func ReadJSON(in io.Reader) iter.Seq[Line] {
	return func(yield func(Line) bool) {
		count := &lineCounter{in: skipBOM(in)}
		dec := json.NewDecoder(count)
		inArray := false
		if b, err := peekToken(dec, count); err == nil && b == '[' {
			inArray = true
		}
		for {
			if inArray && !dec.More() {
				return
			}
			var raw json.RawMessage
			err := dec.Decode(&raw)
			number := count.at(dec.InputOffset() - int64(len(raw)))
			if errors.Is(err, io.EOF) && !inArray {
				return
			}
			if err != nil {
				yield(Line{Number: number, Err: jsonError(err), Ends: true})
				return
			}
			line := Line{Number: number}
			line.Err = DecodeStrict(raw, &line.Row)
			if !yield(line) {
				return
			}
		}
	}
}

// peekToken opens the array that the rows are in, if they are in one.
func peekToken(dec *json.Decoder, count *lineCounter) (byte, error) {
	first, err := count.firstByte()
	if err != nil || first != '[' {
		return first, err
	}
	_, err = dec.Token()
	return first, err
}

func jsonError(err error) error {
	if _, ok := errors.AsType[*json.SyntaxError](err); ok || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return devices.Errorf(devices.Invalid, "line", "is no JSON")
	}
	return fmt.Errorf("read rows: %w", err)
}

// lineCounter remembers where lines begin, so that an offset can be told as a line.
type lineCounter struct {
	in     io.Reader
	offset int64
	starts []int64 // the offsets behind each newline that were not passed yet
	passed int     // newlines that were
	first  []byte
}

func (c *lineCounter) Read(p []byte) (int, error) {
	var n int
	var err error
	if len(c.first) > 0 {
		n = copy(p, c.first)
		c.first = c.first[n:]
	} else {
		n, err = c.in.Read(p)
	}
	for i := 0; i < n; i++ {
		j := bytes.IndexByte(p[i:n], '\n')
		if j < 0 {
			break
		}
		i += j
		c.starts = append(c.starts, c.offset+int64(i)+1)
	}
	c.offset += int64(n)
	return n, err
}

// firstByte returns the first byte that is no white space, without taking it.
func (c *lineCounter) firstByte() (byte, error) {
	buffer := make([]byte, 512)
	for {
		n, err := c.in.Read(buffer)
		c.first = append(c.first, buffer[:n]...)
		if b := bytes.TrimLeft(c.first, " \t\r\n"); len(b) > 0 {
			return b[0], nil
		}
		if err != nil || len(c.first) > 64<<10 {
			return 0, errors.Join(err, errors.New("only white space"))
		}
	}
}

// at returns the line of an offset. Offsets only grow.
func (c *lineCounter) at(offset int64) int {
	n := 0
	for n < len(c.starts) && c.starts[n] <= offset {
		n++
	}
	c.passed += n
	c.starts = append(c.starts[:0], c.starts[n:]...)
	return c.passed + 1
}
