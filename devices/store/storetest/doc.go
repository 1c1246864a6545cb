// Package storetest is the suite that every store passes: the contract of package store as tests that can fail.
//
// It owns no behaviour and knows no store: a store's own test gives it a function that opens one. It refuses to test what
// only one store has (its file, its server, its outages): that stands in the store's package.
//
// In the walk of a message it stands beside the door's question who a device is.
package storetest
