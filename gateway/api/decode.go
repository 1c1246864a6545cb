package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"unicode/utf8"

	"github.com/fleetcast/fleetcast/devices"
)

// maxDecodeTopicBytes bounds the topic of a decoding: a little more than any that is understood, which then is told to be
// too long.
const maxDecodeTopicBytes = 1024

// decode answers what the message in the body, on the topic of the query, would become. Nothing comes of it.
func (a *API) decode(w http.ResponseWriter, r *http.Request) error {
	topic := r.URL.Query().Get("topic")
	switch {
	case topic == "":
		return devices.Errorf(devices.Invalid, "topic", "is missing: name the topic that the payload came on")
	case len(topic) > maxDecodeTopicBytes || !utf8.ValidString(topic):
		return devices.Errorf(devices.Invalid, "topic", "is longer than %d bytes, or not UTF-8", maxDecodeTopicBytes)
	}
	payload, err := io.ReadAll(r.Body)
	if err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return devices.Errorf(devices.TooLarge, "", "the body is larger than %d bytes", MaxBody)
		}
		return devices.Errorf(devices.Invalid, "", "the body did not come whole")
	}
	decoding, err := a.options.Decode(topic, payload)
	if err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	body, err := json.Marshal(decoding)
	if err != nil {
		return fmt.Errorf("write decoding: %w", err)
	}
	writeJSON(w, http.StatusOK, body)
	return nil
}
