package devices

import (
	"errors"
	"fmt"
)

// Kind says what went wrong in terms that every port can translate: the HTTP edge has one table from Kind to status.
type Kind uint8

// The kinds of errors. Internal is the zero value, so that an error nobody classified never leaks its text to a client.
const (
	Internal     Kind = iota // ours; the text stays in the log
	Invalid                  // the caller's input is wrong; Field says which part
	NotFound                 // there is no such thing, or the caller may not know of it
	Conflict                 // it contradicts what is there
	Unauthorized             // we do not know who asks
	Forbidden                // we know, and the answer is no
	TooLarge                 // above a stated limit of size
	Exhausted                // a stated limit of number or rate is reached
	Unavailable              // not now: starting, stopping, or a dependency is away
)

var kindNames = [...]string{"internal", "invalid", "not_found", "conflict", "unauthorized", "forbidden", "too_large", "exhausted", "unavailable"}

// String returns the kind's name as used in problem types and metric labels.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "internal"
}

// Error is the one error type that crosses packages with a meaning. Detail is written for the person who caused it and
// holds no secret and no internals; Err, when set, is for the log only.
type Error struct {
	Kind   Kind
	Field  string // the parameter, member or setting that is wrong, or ""
	Detail string
	Err    error
}

// Error returns the detail with the field and the cause, for logs.
func (e *Error) Error() string {
	s := e.Detail
	if e.Field != "" {
		s = e.Field + ": " + s
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error of a kind about a field; field may be empty.
func Errorf(kind Kind, field, format string, args ...any) *Error {
	return &Error{Kind: kind, Field: field, Detail: fmt.Sprintf(format, args...)}
}

// KindOf returns the kind of the first Error in err's chain, and Internal where there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}
