// Package audit keeps who did what over HTTP: a list that is only added to, with a bound on its length, in the store of
// what people configure, so that every edge shows the same.
//
// It owns the entries and their bound. It refuses to own what is worth an entry (gateway/api says so for each route) and
// never sees a body: no secret and no payload is in an entry.
package audit
