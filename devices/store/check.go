package store

import (
	"unicode"
	"unicode/utf8"

	"github.com/fleetcast/fleetcast/devices"
)

// CheckOps refuses a commit that no store takes, so that all of them refuse the same.
func CheckOps(ops []Op) error {
	switch {
	case len(ops) == 0:
		return devices.Errorf(devices.Invalid, "commit", "has no ops")
	case len(ops) > MaxOps:
		return devices.Errorf(devices.TooLarge, "commit", "has more than %d ops", MaxOps)
	}
	type key struct {
		kind Kind
		id   string
	}
	seen := make(map[key]struct{}, len(ops))
	bytes := 0
	for i := range ops {
		op := &ops[i]
		if err := checkOp(op); err != nil {
			return err
		}
		if _, twice := seen[key{op.Kind, op.ID}]; twice {
			return devices.Errorf(devices.Invalid, op.Field(), "stands in the commit twice")
		}
		seen[key{op.Kind, op.ID}] = struct{}{}
		bytes += len(op.ID) + len(op.Value)
	}
	if bytes > MaxCommitBytes {
		return devices.Errorf(devices.TooLarge, "commit", "has more than %d bytes", MaxCommitBytes)
	}
	return nil
}

func checkOp(op *Op) error {
	if err := CheckKey(op.Kind, op.ID); err != nil {
		return err
	}
	switch {
	case len(op.Value) > MaxValueBytes:
		return devices.Errorf(devices.TooLarge, op.Field(), "has more than %d bytes", MaxValueBytes)
	case op.If.Absent && op.If.Revision != 0:
		return devices.Errorf(devices.Invalid, op.Field(), "has two conditions that cannot both hold")
	}
	return nil
}

// CheckKey refuses what names no record.
func CheckKey(kind Kind, id string) error {
	if err := CheckKind(kind); err != nil {
		return err
	}
	if id == "" || len(id) > MaxIDBytes || !utf8.ValidString(id) {
		return devices.Errorf(devices.Invalid, "id", "is empty, longer than %d bytes or not UTF-8", MaxIDBytes)
	}
	for _, r := range id {
		if unicode.IsControl(r) {
			return devices.Errorf(devices.Invalid, "id", "holds a control character")
		}
	}
	return nil
}

// CheckKind refuses what is no kind. A kind is a part of the names of buckets and keys.
func CheckKind(kind Kind) error {
	if kind == "" || len(kind) > MaxKindBytes {
		return devices.Errorf(devices.Invalid, "kind", "is empty or longer than %d bytes", MaxKindBytes)
	}
	for _, c := range []byte(kind) {
		if c < 'a' || c > 'z' {
			return devices.Errorf(devices.Invalid, "kind", "is no word of lower-case letters")
		}
	}
	return nil
}

// CheckKinds refuses what nobody can watch.
func CheckKinds(kinds []Kind) error {
	if len(kinds) == 0 {
		return devices.Errorf(devices.Invalid, "kind", "is missing")
	}
	for _, kind := range kinds {
		if err := CheckKind(kind); err != nil {
			return err
		}
	}
	return nil
}

// CheckList refuses a List that asks for nothing and returns its limit, bounded.
func CheckList(kind Kind, limit int) (int, error) {
	if err := CheckKind(kind); err != nil {
		return 0, err
	}
	if limit < 1 {
		return 0, devices.Errorf(devices.Invalid, "limit", "is below 1")
	}
	return min(limit, MaxList), nil
}

// Holds tells whether the condition is met by the record that there is; a revision of 0 stands for none.
func (c Condition) Holds(has Revision) bool {
	if c.Absent {
		return has == 0
	}
	return c.Revision == 0 || c.Revision == has
}

// Field is how an error names the op: "kind/id".
func (op *Op) Field() string { return string(op.Kind) + "/" + op.ID }

// Conflict is the error of an op whose condition does not hold.
func (op *Op) Conflict() error {
	if op.If.Absent {
		return devices.Errorf(devices.Conflict, op.Field(), "is there already")
	}
	return devices.Errorf(devices.Conflict, op.Field(), "was changed by somebody else")
}

// ErrFull is the error of a store that holds as many records as it may.
var ErrFull = &devices.Error{Kind: devices.Exhausted, Field: "records", Detail: "are as many as the store holds"}
