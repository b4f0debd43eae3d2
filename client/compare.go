package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/ingot-ml/ingot/client/internal/folder"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// FolderReceipt says how a folder differs from a version. Its JSON is a contract.
type FolderReceipt struct {
	Ref       string   `json:"ref"`
	Digest    string   `json:"digest"`
	Files     int      `json:"files"` // that are equal
	Bytes     int64    `json:"bytes"` // of them
	Missing   []string `json:"missing"`
	Differing []string `json:"differing"`
	Extra     []string `json:"extra"`
	Seconds   float64  `json:"seconds"`
}

// VerifyDir compares the files of the folder dir with a version and changes
// nothing. Differences are in the receipt and no error.
func (r *Registry) VerifyDir(ctx context.Context, ref name.Ref, dir string, o VerifyOptions) (FolderReceipt, error) {
	began := time.Now()
	m, digest, err := r.Manifest(ctx, ref)
	if err != nil {
		return FolderReceipt{}, fmt.Errorf("verify folder %s: %w", dir, err)
	}
	f, err := folder.OpenReader(dir)
	if err != nil {
		return FolderReceipt{}, fmt.Errorf("verify folder %s: %w", dir, err)
	}
	got, err := compareFolder(ctx, m, f, heard(o.Progress))
	if err = errors.Join(err, f.Close()); err != nil {
		return FolderReceipt{}, fmt.Errorf("verify folder %s: %w", dir, err)
	}
	got.Ref, got.Digest = ref.String(), digest.String()
	got.Seconds = time.Since(began).Seconds()
	return got, nil
}

func compareFolder(ctx context.Context, m *manifest.Manifest, f *folder.Reader, progress Progress) (FolderReceipt, error) {
	got := FolderReceipt{Missing: []string{}, Differing: []string{}, Extra: []string{}}
	progress.Total(int64(m.Size()))
	v, err := newSurvey(m, f)
	if err != nil {
		return got, err
	}
	if err := v.keep(ctx, func(size int) { progress.Add(int64(size)) }); err != nil {
		return got, err
	}
	for i, t := range v.targets {
		switch path := m.Files[i].Path; {
		case t.kept.Load():
			got.Files++
			got.Bytes += t.size
		case t.size < 0 && t.obstacle == nil:
			got.Missing = append(got.Missing, path)
		default:
			got.Differing = append(got.Differing, path)
		}
	}
	err = f.Files(func(p string, _ fs.DirEntry) error {
		if m.File(p) == nil {
			got.Extra = append(got.Extra, p)
		}
		return nil
	})
	return got, err
}
