package redis

import "context"

// Shorten forgets what records were before the last commit: the log of commits, which feeds read, has them for a while
// after they were changed or deleted. A feed that had not read so far begins anew.
func (s *Store) Shorten(ctx context.Context) error {
	return s.call(ctx, "shorten log", func(ctx context.Context) error {
		return shortenScript.Run(ctx, s.client, []string{s.keys.meta, s.keys.log}).Err()
	})
}
