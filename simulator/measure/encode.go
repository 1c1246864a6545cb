package measure

import (
	"errors"
	"fmt"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Encoding is the form of Encode, which the libraries of HdrHistogram in all languages read, and Unit is what it counts.
const (
	Encoding = "HdrHistogram V2 compressed, base64"
	Unit     = "us"
)

var errRange = errors.New("it is of another range or precision than the simulator's")

// Encode returns all that was counted, as Encoding says: percentiles cannot be added, and these can.
func (h *Histogram) Encode() (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	text, err := h.h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return "", fmt.Errorf("encode histogram: %w", err)
	}
	return string(text), nil
}

// Decode reads what Encode wrote. A histogram of another range or precision is refused: what it counted could be beyond
// this one's.
func Decode(text string) (*Histogram, error) {
	h, err := hdrhistogram.Decode([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("decode histogram: %w", err)
	}
	if own := NewHistogram().h; h.LowestTrackableValue() != own.LowestTrackableValue() || h.HighestTrackableValue() != own.HighestTrackableValue() ||
		h.SignificantFigures() != own.SignificantFigures() {
		return nil, fmt.Errorf("decode histogram: %w", errRange)
	}
	return &Histogram{h: h}, nil
}
