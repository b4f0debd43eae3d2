package tlsfiles

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxBundle bounds a file of authorities in bytes: all that a system knows are a fourth
// of it.
const maxBundle = 4 << 20

// Client returns what a client needs that believes the authorities in a PEM file beside
// those of the system.
func Client(authorities string) (*tls.Config, error) {
	pem, err := readBundle(authorities)
	if err != nil {
		return nil, fmt.Errorf("authorities: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a system that knows none
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("authorities: %s has no certificate in PEM", authorities)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}, nil
}

func readBundle(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(file, maxBundle+1))
	if len(b) > maxBundle {
		err = fmt.Errorf("%s has more than %d bytes", path, maxBundle)
	}
	return b, errors.Join(err, file.Close())
}
