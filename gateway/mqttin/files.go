package mqttin

import "log/slog"

// A quarter of the files that the process may open is left to viewers, to the bus and to logs, and not less than
// reservedFiles, unless that is more than half. Without a reserve, devices that connect take the last descriptor and
// every other part of the process fails with "too many open files".
const reservedFiles = 512

// connectionsFor is how many connections the process has files for.
func connectionsFor(files uint64) int {
	reserve := min(max(files/4, reservedFiles), files/2)
	return int(min(files-reserve, 1<<30))
}

// fitFiles lowers the default number of connections to what the system gives files for, and only warns where the
// number was chosen.
func (l Limits) fitFiles(chosen bool, files uint64, log *slog.Logger) Limits {
	if files == 0 {
		return l
	}
	most := connectionsFor(files)
	switch {
	case l.Connections <= most:
	case chosen:
		log.Warn("mqtt connection limit is above what the open-file limit allows", "connections", l.Connections, "open_files", files)
	default:
		log.Info("mqtt connection limit follows the open-file limit", "connections", most, "open_files", files)
		l.Connections = most
	}
	return l
}
