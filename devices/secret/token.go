package secret

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"
)

// A token is 256 random bits as text after a prefix that lets people and scanners of secrets see what it is.
const (
	TokenPrefix = "fct_"
	tokenBytes  = 256 / 8

	HashBytes = sha256.Size // of HashToken
)

var tokenLength = len(TokenPrefix) + base64.RawURLEncoding.EncodedLen(tokenBytes)

// NewToken returns a token and what is kept of it. SHA-256 is enough: nobody guesses 256 random bits, so there is
// nothing that a slow hash would slow down but our own devices.
func NewToken() (token string, hash []byte) {
	var secret [tokenBytes]byte
	_, _ = rand.Read(secret[:]) // never fails: it ends the process instead
	token = TokenPrefix + base64.RawURLEncoding.EncodeToString(secret[:])
	return token, HashToken([]byte(token))
}

// HashToken is what is kept of a token.
func HashToken(token []byte) []byte {
	sum := sha256.Sum256(token)
	return sum[:]
}

// IsToken tells whether a password has the form of a token. What a token is says nothing about whom it belongs to.
func IsToken(password []byte) bool {
	return len(password) == tokenLength && strings.HasPrefix(string(password[:len(TokenPrefix)]), TokenPrefix)
}

// VerifyToken compares in constant time.
func VerifyToken(password, hash []byte) bool {
	return len(hash) == sha256.Size && subtle.ConstantTimeCompare(HashToken(password), hash) == 1
}
