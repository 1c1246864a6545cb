// Package redisconn is how Redis is reached: by the bus and by the store, which may share one.
//
// It owns the URL, the settings of the client library with their reasons, and which errors go by themselves. It refuses
// to own what is kept there, and any waiting that a caller does not ask for. In the walk of a message it is under the bus,
// where that is in Redis.
package redisconn
