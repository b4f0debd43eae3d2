package tlsfiles

import (
	"crypto/tls"
	"log/slog"
	"time"
)

// ServerAt is Server by another clock.
func ServerAt(cert, key string, logger *slog.Logger, now func() time.Time) (*tls.Config, error) {
	s := &shown{cert: cert, key: key, logger: logger, now: now}
	return s.config()
}
