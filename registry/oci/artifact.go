package oci

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"path"
	"slices"
	"strings"

	"github.com/ingot-ml/ingot/registry/catalog"
)

// The media types of manifests.
const (
	mediaManifest = "application/vnd.oci.image.manifest.v1+json"
	mediaIndex    = "application/vnd.oci.image.index.v1+json"
	mediaDocker   = "application/vnd.docker.distribution.manifest.v2+json"
)

// Of the model specification of the CNCF.
const (
	typeModel    = "application/vnd.cncf.model.manifest.v1+json"
	mediaConfig  = "application/vnd.cncf.model.config.v1+json"
	keyFilePath  = "org.cncf.model.filepath"
	keyTitle     = "org.opencontainers.image.title" // by which others know files
	keyRevision  = "org.opencontainers.image.revision"
	modelFSFiles = "layers"
)

// maxManifest is the longest manifest that clients are sure to take, in bytes.
const maxManifest = 4 << 20

// Kinds of files, as they stand in the media types of layers.
const (
	kindWeight  = "weight"
	kindConfig  = "weight.config"
	kindDoc     = "doc"
	kindCode    = "code"
	kindDataset = "dataset"
)

// descriptor refers to a blob.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// document is a manifest.
type document struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType,omitempty"`
	Config        descriptor        `json:"config"`
	Layers        []descriptor      `json:"layers"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// config is the model configuration.
type config struct {
	Descriptor struct {
		Revision string `json:"revision"`
	} `json:"descriptor"`
	Config struct {
		Format string `json:"format,omitempty"`
	} `json:"config"`
	ModelFS struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diffIds"`
	} `json:"modelfs"`
}

// artifact is a manifest of a revision, and the blob beside the files that it needs.
type artifact struct {
	media  string
	doc    []byte
	digest string // of doc
	config []byte
	about  descriptor // of config
}

// newArtifact finishes d, which lacks what concerns its config.
func newArtifact(d document, mediaConfig string, config any) (*artifact, error) {
	a := &artifact{media: d.MediaType}
	var err error
	if a.config, err = json.Marshal(config); err != nil {
		return nil, err
	}
	a.about = descriptor{MediaType: mediaConfig, Digest: sum(a.config), Size: int64(len(a.config))}
	d.SchemaVersion, d.Config = 2, a.about
	if a.doc, err = json.Marshal(d); err != nil {
		return nil, err
	}
	if len(a.doc) > maxManifest {
		return nil, noManifest("the version has too many files for a manifest of OCI: pull it with ingot or from the Hub's endpoint")
	}
	a.digest = sum(a.doc)
	return a, nil
}

const sha256Prefix = "sha256:"

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return sha256Prefix + hex.EncodeToString(h[:])
}

// model returns the artifact of all files of a revision, whose sha256 are known.
func model(rev *catalog.Revision) (*artifact, error) {
	if len(rev.Files) == 0 {
		return nil, noManifest("%s at %.12s has no files yet", rev.Repo, rev.Commit)
	}
	d := document{
		MediaType: mediaManifest, ArtifactType: typeModel,
		Annotations: map[string]string{keyRevision: rev.Commit},
	}
	var c config
	c.Descriptor.Revision, c.ModelFS.Type = rev.Commit, modelFSFiles
	formats := map[string]bool{}
	for i := range rev.Files {
		f := &rev.Files[i]
		kind := kindOf(f.Path)
		if kind == kindWeight {
			formats[strings.TrimPrefix(path.Ext(f.Path), ".")] = true
		}
		l := layer(f, "application/vnd.cncf.model."+kind+".v1.raw")
		l.Annotations = map[string]string{keyFilePath: f.Path, keyTitle: f.Path}
		d.Layers = append(d.Layers, l)
		c.ModelFS.DiffIDs = append(c.ModelFS.DiffIDs, l.Digest)
	}
	for f := range formats {
		if len(formats) == 1 {
			c.Config.Format = f
		}
	}
	return newArtifact(d, mediaConfig, c)
}

func layer(f *catalog.File, media string) descriptor {
	return descriptor{MediaType: media, Digest: sha256Prefix + f.SHA256, Size: f.Size}
}

// kinds are the endings of names that say what a file is. The others configure.
var kinds = map[string][]string{
	kindWeight: {".safetensors", ".gguf", ".ggml", ".bin", ".pt", ".pth", ".ckpt", ".onnx", ".onnx_data", ".npz", ".npy",
		".h5", ".msgpack", ".tflite", ".pb", ".nemo", ".mlmodel"},
	kindCode:    {".py", ".ipynb", ".sh", ".c", ".cc", ".cpp", ".cu", ".h", ".go", ".rs", ".js", ".ts"},
	kindDoc:     {".md", ".pdf", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".html"},
	kindDataset: {".parquet", ".csv", ".jsonl", ".arrow"},
}

// prose begins the names of documents without an ending of their own.
var prose = []string{"readme", "license", "licence", "notice", "copying", "use_policy"}

// kindOf tells from its name what a file is.
func kindOf(p string) string {
	base := strings.ToLower(path.Base(p))
	for kind, endings := range kinds {
		if slices.Contains(endings, path.Ext(base)) {
			return kind
		}
	}
	if slices.ContainsFunc(prose, func(word string) bool { return strings.HasPrefix(base, word) }) {
		return kindDoc
	}
	return kindConfig
}
