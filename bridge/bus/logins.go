package bus

import (
	"context"
	"encoding/binary"
)

// Logins is how the doors of an installation tell each other who signed in, so that a client id has one connection whichever
// door it came to. A bus of one process has none: there is one door.
type Logins interface {
	// AnnounceLogins appends logins at a door to what all doors hear. It may be told twice, and what is not told is told
	// never: whoever relies on it has another way to find out, if a slower one.
	AnnounceLogins(ctx context.Context, door DoorID, logins []LoginMark) error
	// FollowLogins calls heard with what doors announce from now on, in one order that is the same for all, until ctx
	// ends or the bus fails. A follower that is far behind misses the oldest.
	FollowLogins(ctx context.Context, heard func(door DoorID, logins []LoginMark)) error
}

// LoginMark is a client that signed in: its account, "" in open mode, and its client id.
type LoginMark struct{ Account, Client string }

// Bounds of an announcement.
const (
	MaxLogins     = 512 // in one
	maxLoginBytes = 1024
)

// AppendLogins encodes an announcement of at most MaxLogins.
func AppendLogins(dst []byte, door DoorID, logins []LoginMark) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(door))
	for i := range logins {
		dst = appendText(appendText(dst, logins[i].Account), logins[i].Client)
	}
	return dst
}

// DecodeLogins is the reverse of AppendLogins.
func DecodeLogins(b []byte) (door DoorID, logins []LoginMark, err error) {
	const doorBytes = 8
	if len(b) < doorBytes {
		return 0, nil, ErrWireMalformed
	}
	door = DoorID(binary.BigEndian.Uint64(b))
	r := wireReader{left: b[doorBytes:]}
	for len(r.left) > 0 && r.err == nil && len(logins) < MaxLogins {
		logins = append(logins, LoginMark{Account: string(r.text("account", maxLoginBytes)), Client: string(r.text("client", maxLoginBytes))})
	}
	r.end()
	if r.err != nil || door == 0 {
		return 0, nil, ErrWireMalformed
	}
	return door, logins, nil
}
