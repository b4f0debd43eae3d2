package tlsfiles

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"
)

// lookEvery is how often files are looked at while connections come.
const lookEvery = 2 * time.Second

// Server returns what a server needs whose certificate, with those of the authorities
// between, and private key are in PEM in two files, which may be one. They are looked at
// again while the server runs. A nil logger is silence.
func Server(cert, key string, logger *slog.Logger) (*tls.Config, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return (&shown{cert: cert, key: key, logger: logger, now: time.Now}).config()
}

func (s *shown) config() (*tls.Config, error) {
	if err := s.load(s.stat()); err != nil {
		return nil, err
	}
	s.looked = s.now()
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.certificate(), nil },
	}, nil
}

// shown is the certificate that a server shows.
type shown struct {
	cert, key string // paths
	logger    *slog.Logger
	now       func() time.Time

	mu      sync.Mutex // protects what follows
	current *tls.Certificate
	looked  time.Time
	seen    [2]state // of the files, when they were read last, to whatever end
}

// state tells one content of a file from another.
type state struct {
	info fs.FileInfo // nil for none
}

func (s state) same(other state) bool {
	if s.info == nil || other.info == nil {
		return s.info == nil && other.info == nil
	}
	return os.SameFile(s.info, other.info) && s.info.Size() == other.info.Size() && s.info.ModTime().Equal(other.info.ModTime())
}

func (s *shown) stat() (now [2]state) {
	for i, path := range []string{s.cert, s.key} {
		if info, err := os.Stat(path); err == nil {
			now[i] = state{info}
		}
	}
	return now
}

// certificate returns what to show to the next client.
func (s *shown) certificate() *tls.Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.now(); now.Sub(s.looked) >= lookEvery || now.Before(s.looked) {
		s.looked = now
		s.look()
	}
	return s.current
}

// look reads the files if they have changed.
func (s *shown) look() {
	now := s.stat()
	if now[0].same(s.seen[0]) && now[1].same(s.seen[1]) {
		return
	}
	if err := s.load(now); err != nil {
		s.logger.Error("the certificate stays what it was", "err", err)
		return
	}
	s.logger.Info("the certificate is a new one", "file", s.cert, "until", s.current.Leaf.NotAfter)
}

// load reads the files, which are in that state.
func (s *shown) load(now [2]state) error {
	s.seen = now
	pair, err := tls.LoadX509KeyPair(s.cert, s.key)
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("certificate: %w", failed)
	}
	if err != nil {
		return fmt.Errorf("certificate %s with the key %s: %w", s.cert, s.key, err)
	}
	s.current = &pair
	return nil
}
