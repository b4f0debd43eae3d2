package artifact

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// layer is a layer and what becomes of it.
type layer struct {
	ocispec.Descriptor
	path   string // of its file; for an archive, of nothing
	packed packing
}

// packing is how files lie in a layer.
type packing int

const (
	raw packing = iota // the layer is the file
	tarred
	gzipped // a tar, compressed
)

// The annotations that name files, those of the first before the others.
var titles = []string{"org.cncf.model.filepath", ocispec.AnnotationTitle}

// unpack is what ORAS says of a folder that it has packed into a layer.
const unpack = "io.deis.oras.content.unpack"

// known are the files of layers that say only by their type what they are.
var known = map[string]string{
	"application/vnd.ollama.image.model":     "model.gguf",
	"application/vnd.ollama.image.projector": "mmproj.gguf",
	"application/vnd.ollama.image.adapter":   "adapter.gguf",
	"application/vnd.ollama.image.template":  "template",
	"application/vnd.ollama.image.params":    "params",
	"application/vnd.ollama.image.system":    "system",
	"application/vnd.ollama.image.messages":  "messages",
	"application/vnd.ollama.image.license":   "LICENSE",
	"application/vnd.docker.ai.gguf.v3":      "model.gguf",
	"application/vnd.docker.ai.mmproj":       "mmproj.gguf",
	"application/vnd.docker.ai.license":      "LICENSE",
}

// plan decides what becomes of the layers of a manifest. Errors are client.ErrInput.
func plan(m ocispec.Manifest, ref registry.Reference) ([]layer, error) {
	var layers []layer
	var paths []string
	var total int64
	for i, d := range m.Layers {
		l, err := planLayer(d)
		if err != nil {
			return nil, fmt.Errorf("layer %d of %d: %w: %w", i+1, len(m.Layers), err, client.ErrInput)
		}
		if d.Size < 0 || d.Size > manifest.MaxPlain-total {
			return nil, fmt.Errorf("layer %d of %d: %d bytes are too much: %w", i+1, len(m.Layers), d.Size, client.ErrInput)
		}
		total += d.Size
		if l.packed == raw {
			l.path = free(l.path, d, paths)
			paths = append(paths, l.path)
		}
		layers = append(layers, l)
	}
	if len(layers) == 0 {
		return nil, fmt.Errorf("the artifact %s has no layers: %w", ref, client.ErrInput)
	}
	if err := manifest.CheckCollisions(slices.Sorted(slices.Values(paths))); err != nil {
		return nil, fmt.Errorf("%w: %w", err, client.ErrInput)
	}
	return layers, nil
}

func planLayer(d ocispec.Descriptor) (l layer, err error) {
	l.Descriptor = d
	if err := d.Digest.Validate(); err != nil {
		return l, fmt.Errorf("digest %.100q: %w", d.Digest, err)
	}
	if l.packed, err = packingOf(d); err != nil || l.packed != raw {
		return l, err
	}
	for _, key := range titles {
		if l.path = d.Annotations[key]; l.path != "" {
			break
		}
	}
	if l.path == "" {
		l.path = known[d.MediaType]
	}
	if l.path == "" {
		return l, fmt.Errorf("nothing names the file of a layer of type %.100q; only artifacts of models or files can be imported", d.MediaType)
	}
	l.path = strings.TrimPrefix(l.path, "./")
	return l, manifest.CheckPath(l.path)
}

// packingOf tells how the files lie in a layer. A type of Docker or OCI alone says
// nothing: ORAS gives it to files as they are.
func packingOf(d ocispec.Descriptor) (packing, error) {
	ofModel := strings.HasPrefix(d.MediaType, "application/vnd.cncf.model.") || strings.HasPrefix(d.MediaType, "application/vnd.cnai.model.") ||
		strings.HasPrefix(d.MediaType, "application/vnd.kitops.modelkit.")
	if !ofModel && d.Annotations[unpack] != "true" {
		return raw, nil
	}
	switch {
	case strings.HasSuffix(d.MediaType, "gzip"):
		return gzipped, nil
	case strings.HasSuffix(d.MediaType, "tar"):
		return tarred, nil
	case strings.HasSuffix(d.MediaType, "zstd"):
		return raw, errors.New("it is compressed with zstd, which is not read here: pack the model without compression")
	}
	return raw, nil
}

// free returns p, or a name beside it if another layer that names no file has it
// already: models of ollama may have several licenses.
func free(p string, d ocispec.Descriptor, taken []string) string {
	if known[d.MediaType] != p {
		return p
	}
	ext := path.Ext(p)
	for n, try := 2, p; ; n++ {
		if !slices.Contains(taken, try) {
			return try
		}
		try = fmt.Sprintf("%s-%d%s", strings.TrimSuffix(p, ext), n, ext)
	}
}
