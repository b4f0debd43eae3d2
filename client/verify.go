package client

import (
	"context"
	"errors"

	"github.com/ingot-ml/ingot/registry/name"
)

// VerifyOptions say how a version is verified.
type VerifyOptions struct {
	// Progress may be nil.
	Progress Progress
}

// VerifyReceipt says what Verify found. Its JSON is a contract.
type VerifyReceipt struct {
	Ref           string     `json:"ref"`
	Digest        string     `json:"digest"`
	Chunks        int        `json:"chunks"`         // distinct, read and compared
	Bytes         int64      `json:"bytes"`          // plain bytes of them
	BytesReceived int64      `json:"bytes_received"` // encoded
	Bad           int        `json:"bad"`            // chunks that are not what their name says
	First         []BadChunk `json:"first_bad"`      // the first of them
	Seconds       float64    `json:"seconds"`
}

// BadChunk is a chunk that the registry does not give back as it was.
type BadChunk struct {
	Digest  string   `json:"digest"`
	Files   []string `json:"files"` // the first that use it
	Problem string   `json:"problem"`
}

// FolderReceipt says how a folder differs from a version. Its JSON is a contract.
type FolderReceipt struct {
	Ref       string   `json:"ref"`
	Digest    string   `json:"digest"`
	Files     int      `json:"files"` // that are equal
	Bytes     int64    `json:"bytes"` // that were compared
	Missing   []string `json:"missing"`
	Differing []string `json:"differing"`
	Extra     []string `json:"extra"`
	Seconds   float64  `json:"seconds"`
}

// Verify reads every chunk of a version from the registry and compares it with
// its name. When some are bad it returns the receipt together with ErrCorrupt.
func (r *Registry) Verify(ctx context.Context, ref name.Ref, o VerifyOptions) (VerifyReceipt, error) {
	return VerifyReceipt{}, errors.New("verify: not built")
}

// VerifyDir compares the files of the folder dir with a version and changes
// nothing. Differences are in the receipt and no error.
func (r *Registry) VerifyDir(ctx context.Context, ref name.Ref, dir string, o VerifyOptions) (FolderReceipt, error) {
	return FolderReceipt{}, errors.New("verify folder: not built")
}
