package secret

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/fleetcast/fleetcast/devices"
)

// The cost of a password: OWASP's least set for argon2id. 19 MiB a time is also what makes many at once a bomb, so they
// pass a gate. The numbers stand in every hash, so that they may change; what a hash may claim is bounded.
const (
	argonMemory  = 19 * 1024 // KiB
	argonTime    = 2
	argonThreads = 1
	argonKey     = 32
	argonSalt    = 16

	maxArgonMemory = 64 * 1024
	maxArgonTime   = 10
)

// Bounds of Passwords that people choose.
const (
	MinPasswordBytes = 12
	MaxPasswordBytes = 256
	// MaxProofBytes bounds what is looked at of a CONNECT's password, whatever it is to be: a JWT is the longest.
	MaxProofBytes = 8 << 10
)

// CheckPassword tells whether a password may be chosen.
func CheckPassword(password string) error {
	switch {
	case len(password) < MinPasswordBytes || len(password) > MaxPasswordBytes:
		return devices.Errorf(devices.Invalid, "password", "is not of %d to %d bytes", MinPasswordBytes, MaxPasswordBytes)
	case strings.HasPrefix(password, TokenPrefix):
		return devices.Errorf(devices.Invalid, "password", "begins as tokens do")
	}
	return nil
}

// HashPassword returns the usual text form: $argon2id$v=19$m=…,t=…,p=…$salt$key.
func HashPassword(password []byte) string {
	var salt [argonSalt]byte
	_, _ = rand.Read(salt[:]) // never fails
	key := argon2.IDKey(password, salt[:], argonTime, argonMemory, argonThreads, argonKey)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads,
		base64.RawStdEncoding.EncodeToString(salt[:]), base64.RawStdEncoding.EncodeToString(key))
}

// argonHash is a hash in parts.
type argonHash struct {
	memory, time uint32
	threads      uint8
	salt, key    []byte
}

func parsePasswordHash(text string) (h argonHash, ok bool) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return h, false
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.time, &h.threads); err != nil || n != 3 {
		return h, false
	}
	var saltErr, keyErr error
	h.salt, saltErr = base64.RawStdEncoding.DecodeString(parts[4])
	h.key, keyErr = base64.RawStdEncoding.DecodeString(parts[5])
	ok = saltErr == nil && keyErr == nil && h.memory <= maxArgonMemory && h.time >= 1 && h.time <= maxArgonTime &&
		h.threads >= 1 && len(h.salt) >= 8 && len(h.key) >= 16 && len(h.key) <= 64
	return h, ok
}

func (h *argonHash) verify(password []byte) bool {
	key := argon2.IDKey(password, h.salt, h.time, h.memory, h.threads, uint32(len(h.key)))
	return subtle.ConstantTimeCompare(key, h.key) == 1
}

// The bounds of verifying Passwords.
const (
	DefaultHashers   = 2               // at once: 38 MiB, and at most two cores
	maxHashWaiters   = 64              // who come later are told to come again
	PositiveCacheFor = 5 * time.Minute // a reconnect within it costs an HMAC
	maxPositive      = 10_000
)

// Passwords verifies Passwords a few at a time. Its methods may be called concurrently.
type Passwords struct {
	gate    chan struct{} // of the hashers
	waiting atomic.Int64
	secret  [32]byte // of this process: what the cache holds is worth nothing elsewhere
	hashed  atomic.Uint64
	refused atomic.Uint64
	cached  atomic.Uint64

	mu       sync.Mutex
	positive map[[sha256.Size]byte]time.Time // until when a password is known to be right, by its HMAC
}

// NewPasswords returns a gate through which so many passwords pass at once; 0 is the default.
func NewPasswords(hashers int) *Passwords {
	if hashers <= 0 {
		hashers = DefaultHashers
	}
	p := &Passwords{gate: make(chan struct{}, hashers), positive: map[[sha256.Size]byte]time.Time{}}
	_, _ = rand.Read(p.secret[:]) // never fails
	return p
}

// Counts tells how many passwords were hashed, were known from the cache, and were not looked at for want of a turn.
func (p *Passwords) Counts() (hashed, cached, refused uint64) {
	return p.hashed.Load(), p.cached.Load(), p.refused.Load()
}

// ErrBusy is what Verify returns to who found no turn.
var ErrBusy = devices.Errorf(devices.Exhausted, "", "too many Passwords are being checked; try again")

// Verify tells whether the password is that of the hash. It waits for its turn as long as ctx lasts, and is refused with
// Exhausted where too many wait already.
func (p *Passwords) Verify(ctx context.Context, password []byte, hash string, now time.Time) (bool, error) {
	if len(password) > MaxPasswordBytes {
		return false, nil
	}
	h, ok := parsePasswordHash(hash)
	if !ok {
		return false, nil
	}
	key := p.key(password, hash)
	if p.known(key, now) {
		p.cached.Add(1)
		return true, nil
	}
	if p.waiting.Add(1) > maxHashWaiters {
		p.waiting.Add(-1)
		p.refused.Add(1)
		return false, ErrBusy
	}
	defer p.waiting.Add(-1)
	select {
	case p.gate <- struct{}{}:
		defer func() { <-p.gate }()
	case <-ctx.Done():
		p.refused.Add(1)
		return false, ErrBusy
	}
	p.hashed.Add(1)
	if !h.verify(password) {
		return false, nil
	}
	p.remember(key, now)
	return true, nil
}

// key is what a pair of password and hash is remembered by. The hash with its salt is part of it, so that a changed
// password is forgotten with its account's old hash.
func (p *Passwords) key(password []byte, hash string) [sha256.Size]byte {
	mac := hmac.New(sha256.New, p.secret[:])
	mac.Write([]byte(hash))
	mac.Write([]byte{0})
	mac.Write(password)
	return [sha256.Size]byte(mac.Sum(nil))
}

func (p *Passwords) known(key [sha256.Size]byte, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	until, ok := p.positive[key]
	if ok && !now.Before(until) {
		delete(p.positive, key)
		return false
	}
	return ok
}

func (p *Passwords) remember(key [sha256.Size]byte, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.positive) >= maxPositive {
		clear(p.positive) // they come back at the price of one hash each
	}
	p.positive[key] = now.Add(PositiveCacheFor)
}

// Hash hashes a password through the same gate. It returns "" where ctx ends first.
func (p *Passwords) Hash(ctx context.Context, password []byte) string {
	select {
	case p.gate <- struct{}{}:
		defer func() { <-p.gate }()
	case <-ctx.Done():
		return ""
	}
	return HashPassword(password)
}
