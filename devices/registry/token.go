package registry

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"
)

// A token is 256 random bits as text after a prefix that lets people and scanners of secrets see what it is.
const (
	tokenPrefix = "fct_"
	tokenBits   = 256
	tokenBytes  = tokenBits / 8
)

var tokenLength = len(tokenPrefix) + base64.RawURLEncoding.EncodedLen(tokenBytes)

// newToken returns a token and what is kept of it. SHA-256 is enough: nobody guesses 256 random bits, so there is
// nothing that a slow hash would slow down but our own devices.
func newToken() (token string, hash []byte) {
	var secret [tokenBytes]byte
	_, _ = rand.Read(secret[:]) // never fails: it ends the process instead
	token = tokenPrefix + base64.RawURLEncoding.EncodeToString(secret[:])
	return token, hashToken([]byte(token))
}

func hashToken(token []byte) []byte {
	sum := sha256.Sum256(token)
	return sum[:]
}

// isToken tells whether a password has the form of a token. What a token is says nothing about whom it belongs to.
func isToken(password []byte) bool {
	return len(password) == tokenLength && strings.HasPrefix(string(password[:len(tokenPrefix)]), tokenPrefix)
}

// verifyToken compares in constant time.
func verifyToken(password, hash []byte) bool {
	return len(hash) == sha256.Size && subtle.ConstantTimeCompare(hashToken(password), hash) == 1
}
