package versions

import (
	"context"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// Diff says how version b differs from version a.
func (s *Service) Diff(ctx context.Context, p access.Principal, a, b name.Ref) (openapi.Diff, error) {
	left, l, err := s.resolveBody(ctx, p, a)
	if err != nil {
		return openapi.Diff{}, err
	}
	right, r, err := s.resolveBody(ctx, p, b)
	if err != nil {
		return openapi.Diff{}, err
	}
	d := manifest.Compare(left.manifest, right.manifest)
	return openapi.Diff{
		A: l, B: r,
		Files: openapi.DiffFiles{
			Added: diffFiles(d.Files.Added), Removed: diffFiles(d.Files.Removed),
			Changed: diffFiles(d.Files.Changed), Same: len(d.Files.Same),
		},
		Tensors: openapi.DiffTensors{
			Added: diffTensors(d.Tensors.Added), Removed: diffTensors(d.Tensors.Removed),
			Changed: diffTensors(d.Tensors.Changed), Same: len(d.Tensors.Same),
		},
		ChunksShared: d.ChunksShared, ChunksNew: d.ChunksNew,
		BytesShared: int64(d.BytesShared), BytesNew: int64(d.BytesNew),
	}, nil
}

func (s *Service) resolveBody(ctx context.Context, p access.Principal, ref name.Ref) (*body, chunker.Digest, error) {
	d, err := s.Resolve(ctx, p, ref)
	if err != nil {
		return nil, d, err
	}
	b, err := s.readBody(ctx, p, ref.Repo, d)
	return b, d, err
}

func diffFiles(files []*manifest.File) []openapi.DiffFile {
	list := make([]openapi.DiffFile, len(files))
	for i, f := range files {
		list[i] = openapi.DiffFile{Path: f.Path, Size: int64(f.Size)}
	}
	return list
}

func diffTensors(tensors []manifest.Placed) []openapi.DiffTensor {
	list := make([]openapi.DiffTensor, len(tensors))
	for i, t := range tensors {
		list[i] = openapi.DiffTensor{
			File: t.File.Path, Name: t.Tensor.Name, DType: t.Tensor.DType,
			Shape: append([]uint64{}, t.Tensor.Shape...), Bytes: int64(t.Tensor.Length),
		}
	}
	return list
}
