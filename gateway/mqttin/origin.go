package mqttin

// origin is a connection that messages come from, as the committer knows it: a device's to the embedded broker, or ours
// to an external one.
type origin interface {
	// counted is what the committer counts about the connection.
	counted() *account
	// willWait is called before the goroutine that reads the connection waits for room.
	willWait()
	// acknowledge releases an acknowledgement whose message is durable, in the order of arrival. It runs in the
	// committer's goroutine and does not block. Where bytes are to be written, it returns the origin whose writeAcks
	// must be called.
	acknowledge(t *ticket) origin
	// writeAcks writes them in the committer's goroutine, does not block, and hands on what would.
	writeAcks(elsewhere func(func()))
}

// account is embedded in every origin.
type account struct {
	unacked int             // guarded by committer.mu: messages taken and not yet acknowledged
	gone    <-chan struct{} // closed when nobody waits for room any more; nil: never
}

func (a *account) counted() *account { return a }

func (a *account) willWait() {}
