package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/fleetcast/fleetcast/devices"
)

// maxPatchDepth bounds what is merged; the settings of a fleet are two levels deep.
const maxPatchDepth = 8

// MergePatch applies a JSON merge patch (RFC 7396) to a value of this package and decodes the result into out, which is
// of the same type. A member that the type does not have is refused by its name.
func MergePatch(current any, patch []byte, out any) error {
	target, err := json.Marshal(current)
	if err != nil {
		return err
	}
	if t := bytes.TrimSpace(patch); len(t) == 0 || t[0] != '{' {
		return devices.Errorf(devices.Invalid, "body", "is no object: a merge patch of the members that change")
	}
	merged, err := merge(target, patch, 0)
	if err != nil {
		return err
	}
	return DecodeStrict(merged, out)
}

func merge(target, patch json.RawMessage, depth int) (json.RawMessage, error) {
	var changes map[string]json.RawMessage
	if err := json.Unmarshal(patch, &changes); err != nil || changes == nil {
		return patch, nil //nolint:nilerr // no object: it replaces (RFC 7396 section 2)
	}
	if depth > maxPatchDepth {
		return nil, devices.Errorf(devices.Invalid, "body", "is nested too deeply")
	}
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(target, &members); err != nil || members == nil {
		members = map[string]json.RawMessage{}
	}
	for name, change := range changes {
		if string(bytes.TrimSpace(change)) == "null" {
			delete(members, name)
			continue
		}
		merged, err := merge(members[name], change, depth+1)
		if err != nil {
			return nil, err
		}
		members[name] = merged
	}
	return json.Marshal(members)
}

// DecodeStrict decodes one JSON value that has no members but those of v. The error names the member that is wrong.
func DecodeStrict(b []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return decodeError(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return devices.Errorf(devices.Invalid, "body", "has something after its JSON")
	}
	return nil
}

func decodeError(err error) error {
	if wrong, ok := errors.AsType[*devices.Error](err); ok {
		return wrong // an id, which knows what is wrong with it
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
		return devices.Errorf(devices.Invalid, wrong.Field, "is a %s where it cannot be", wrong.Value)
	}
	if _, name, ok := strings.Cut(err.Error(), "json: unknown field "); ok { // also of a member that decodes itself
		return devices.Errorf(devices.Invalid, strings.Trim(name, `"`), "is no member of this")
	}
	return devices.Errorf(devices.Invalid, "body", "is not the JSON that it has to be")
}
