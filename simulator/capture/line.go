package capture

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"
)

// maxLine bounds a line of a file: an MQTT packet may have 256 KiB, which base64 makes longer.
const maxLine = 1 << 20

// Line is a message in a file.
type Line struct {
	At      int64  `json:"at"` // unix ms at which it came
	Topic   string `json:"topic"`
	QoS     byte   `json:"qos,omitempty"`
	Retain  bool   `json:"retain,omitempty"`
	Payload string `json:"payload,omitempty"` // where it is text
	Base64  string `json:"payload_base64,omitempty"`
}

var errLine = errors.New("a line is a JSON object with at, topic and payload or payload_base64")

func newLine(at time.Time, topic string, payload []byte, qos byte, retain bool) Line {
	l := Line{At: at.UnixMilli(), Topic: topic, QoS: qos, Retain: retain}
	if utf8.Valid(payload) {
		l.Payload = string(payload)
	} else {
		l.Base64 = base64.StdEncoding.EncodeToString(payload)
	}
	return l
}

// payload is the message's bytes.
func (l *Line) payload() ([]byte, error) {
	if l.Base64 == "" {
		return []byte(l.Payload), nil
	}
	b, err := base64.StdEncoding.DecodeString(l.Base64)
	if err != nil {
		return nil, fmt.Errorf("read payload: %w", err)
	}
	return b, nil
}

// parseLine reads a line and refuses what could not be published.
func parseLine(text []byte) (Line, error) {
	var l Line
	if err := json.Unmarshal(text, &l); err != nil {
		return l, fmt.Errorf("%w: %w", errLine, err)
	}
	if l.At <= 0 || l.Topic == "" || len(l.Topic) > 65535 || l.QoS > 2 {
		return l, errLine
	}
	return l, nil
}

// lines reads a file, line by line: recordings are longer than memory.
type lines struct {
	scanner *bufio.Scanner
	number  int
}

func newLines(r io.Reader) *lines {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 64<<10), maxLine)
	return &lines{scanner: s}
}

// next returns io.EOF, bare, behind the last line. Empty lines are skipped.
func (s *lines) next() (Line, error) {
	for s.scanner.Scan() {
		s.number++
		if len(s.scanner.Bytes()) == 0 {
			continue
		}
		l, err := parseLine(s.scanner.Bytes())
		if err != nil {
			return l, fmt.Errorf("read line %d: %w", s.number, err)
		}
		return l, nil
	}
	if err := s.scanner.Err(); err != nil {
		return Line{}, fmt.Errorf("read line %d: %w", s.number+1, err)
	}
	return Line{}, io.EOF
}
