// Package secret is how a credential is made, kept and proved: random tokens, passwords that people choose, and JWTs that
// others sign.
//
// It owns what is kept of a secret (a hash, never the secret) and the bounds of what proving one may cost. It refuses to
// own whom a secret belongs to: that is the registry's for devices, and gateway/auth's for people.
package secret
