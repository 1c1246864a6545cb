package report

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/fleetcast/fleetcast/simulator/fleet"
)

// Run says which run a report is of, and which part of it. Parts of one run agree in all but Shard.
type Run struct {
	ID     string `json:"id,omitempty"` // as somebody gave it, the same to all parts
	Seed   uint64 `json:"seed"`
	Config string `json:"config_digest"`
	// Shard is written as 2/5; 1/1 is a run of one process.
	Shard fleet.Shard `json:"shard"`
}

// ConfigDigest is a digest of what decides what a run does: equal for equal values, as JSON writes them.
func ConfigDigest(v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("make digest: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8]), nil
}

// shardName is how a part is called.
func shardName(s fleet.Shard) string {
	text, _ := s.MarshalText() // it has no error to give
	return string(text)
}

// differs says in what two parts are not of one run; "" is nothing.
func (r *Run) differs(other *Run) string {
	switch {
	case r.Shard.Of != other.Shard.Of:
		return fmt.Sprintf("it is one of %d shards and not of %d", other.Shard.Of, r.Shard.Of)
	case r.ID != other.ID:
		return fmt.Sprintf("it is of run %q and not of %q", other.ID, r.ID)
	case r.Seed != other.Seed:
		return fmt.Sprintf("its seed is %d and not %d", other.Seed, r.Seed)
	case r.Config != other.Config:
		return fmt.Sprintf("its scenario or options are others (digest %s and not %s)", other.Config, r.Config)
	}
	return ""
}
