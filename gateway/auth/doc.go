// Package auth says who asks something over HTTP, and what they may see and do.
//
// It owns people's proofs: tokens that it or an identity provider signed, sessions of those who signed in, keys of
// programs, tickets for clients that can send no header; how each is made, kept (never in the clear), checked and
// revoked. It refuses to own what a route needs (gateway/api has that table) and how a stream is filtered (the hub).
//
// Everything that it knows follows the store, so that each edge decides the same, and what was revoked at one edge ends
// the streams of all within seconds. In open mode it is not asked.
package auth
