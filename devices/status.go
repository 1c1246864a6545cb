package devices

// Status is the presence of a device.
type Status uint8

// Unknown is what holds until presence is proved one way or the other, for example after a restart.
const (
	Unknown Status = iota
	Offline
	Online
)

// String returns the status as it stands in an asset.
func (s Status) String() string {
	switch s {
	case Online:
		return "online"
	case Offline:
		return "offline"
	default:
		return "unknown"
	}
}

// ParseStatus reads what String writes.
func ParseStatus(s string) (Status, error) {
	switch s {
	case "online":
		return Online, nil
	case "offline":
		return Offline, nil
	case "unknown":
		return Unknown, nil
	}
	return Unknown, Errorf(Invalid, "status", "is none of online, offline, unknown")
}
