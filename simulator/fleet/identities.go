package fleet

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Bounds of what is read from users' files.
const (
	maxIdentityFile = 256 << 20
	maxSources      = 65_536
)

// Identity is what a device shows to a broker. Its user name is its id.
type Identity struct {
	Username string
	Password string
	Fleet    string // "" is dealt out as for everybody
}

var errIdentities = errors.New("it holds lines username,password or username,password,fleet, or JSON objects with id, token and fleet")

// ReadIdentities reads the credentials that a registry gave out: a CSV file with or without a header, or a JSON object a
// line as `gateway devices create --json` and `gateway devices import` print.
func ReadIdentities(file string) ([]Identity, error) {
	f, err := os.Open(file) //nolint:gosec // the file that it is given
	if err != nil {
		return nil, fmt.Errorf("read credentials: %w", err)
	}
	defer f.Close()
	all, err := parseIdentities(io.LimitReader(f, maxIdentityFile))
	if err != nil {
		return nil, fmt.Errorf("read credentials from %s: %w", file, err)
	}
	return all, nil
}

func parseIdentities(r io.Reader) ([]Identity, error) {
	b := bufio.NewReader(r)
	parse := identitiesOfCSV
	if first, err := b.Peek(1); err == nil && first[0] == '{' {
		parse = identitiesOfJSON
	}
	all, err := parse(b)
	if err == nil && len(all) == 0 {
		err = errIdentities
	}
	return all, err
}

func identitiesOfJSON(r io.Reader) (all []Identity, err error) {
	d := json.NewDecoder(r)
	for {
		var line struct{ ID, Fleet, Token string }
		if err := d.Decode(&line); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("%w: %w", errIdentities, err)
		}
		if line.ID == "" && line.Token == "" {
			continue // the sum at the end of an import
		}
		if line.ID == "" || len(all) >= MaxDevices {
			return nil, errIdentities
		}
		all = append(all, Identity{line.ID, line.Token, line.Fleet})
	}
}

func identitiesOfCSV(r io.Reader) (all []Identity, err error) {
	records := csv.NewReader(r)
	records.FieldsPerRecord, records.Comment, records.TrimLeadingSpace = -1, '#', true
	columns := []string{"username", "password", "fleet"}
	for first := true; ; first = false {
		record, err := records.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil || len(all) >= MaxDevices {
			return nil, errors.Join(errIdentities, err)
		}
		if first && slices.Contains(record, "username") {
			columns = record
			continue
		}
		var i Identity
		for n, value := range record[:min(len(record), len(columns))] {
			switch columns[n] {
			case "username", "id":
				i.Username = value
			case "password", "token":
				i.Password = value
			case "fleet":
				i.Fleet = value
			}
		}
		if i.Username == "" {
			return nil, errIdentities
		}
		all = append(all, i)
	}
}

// Shard is a part of the devices: the first of three is 1/3. Zero is all of them.
type Shard struct{ Part, Of int }

// UnmarshalText reads a shard, written as 2/5.
func (s *Shard) UnmarshalText(text []byte) error {
	part, of, _ := strings.Cut(string(text), "/")
	p, err := strconv.Atoi(part)
	n, ofErr := strconv.Atoi(of)
	if err != nil || ofErr != nil || p < 1 || p > n || n > 10_000 {
		return fmt.Errorf("read shard %q: it is written as 2/5", text)
	}
	*s = Shard{p, n}
	return nil
}

// MarshalText writes the shard as it is read.
func (s Shard) MarshalText() ([]byte, error) {
	if s.Of == 0 {
		return []byte("1/1"), nil
	}
	return fmt.Appendf(nil, "%d/%d", s.Part, s.Of), nil
}

// Take returns where this part of n begins and how long it is; it may be nothing where there are more shards than n.
func (s Shard) Take(n int) (first, count int) {
	if s.Of <= 1 {
		return 0, n
	}
	first = n * (s.Part - 1) / s.Of
	return first, n*s.Part/s.Of - first
}

// ParseSources reads local addresses to connect from: single ones and ranges, as in 127.0.0.2-127.0.0.9.
func ParseSources(texts []string) (all []netip.Addr, err error) {
	for _, text := range texts {
		low, high, isRange := strings.Cut(text, "-")
		from, err := netip.ParseAddr(low)
		if err != nil {
			return nil, fmt.Errorf("read source address: %w", err)
		}
		to := from
		if isRange {
			if to, err = netip.ParseAddr(high); err != nil || to.Less(from) {
				return nil, fmt.Errorf("read source addresses %q: a range is written as 127.0.0.2-127.0.0.9", text)
			}
		}
		for a := from; a.IsValid() && !to.Less(a); a = a.Next() {
			if all = append(all, a); len(all) > maxSources {
				return nil, fmt.Errorf("read source addresses: more than %d", maxSources)
			}
		}
	}
	return all, nil
}
