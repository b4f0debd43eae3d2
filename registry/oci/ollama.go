package oci

import (
	"bytes"
	"errors"
	"net/http"
	"path"
	"regexp"
	"strings"

	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/name"
)

// The layers of a model as ollama wants it.
const (
	mediaOllamaConfig = "application/vnd.docker.container.image.v1+json"
	ollamaLayer       = "application/vnd.ollama.image."
)

// maxQuantised is how many models of one revision have an artifact for ollama.
const maxQuantised = 64

// wantsOllama tells requests of ollama: it takes manifests of Docker only, which no
// client of OCI does.
func wantsOllama(r *http.Request) bool {
	if strings.HasPrefix(r.UserAgent(), "ollama/") {
		return true
	}
	accept := strings.Join(r.Header.Values("Accept"), ",")
	return strings.Contains(accept, mediaDocker) && !strings.Contains(accept, "vnd.oci.") && !strings.Contains(accept, "*/*")
}

// ollamaConfig is the config of a model for ollama.
type ollamaConfig struct {
	Format       string   `json:"model_format"`
	Family       string   `json:"model_family"`
	Families     []string `json:"model_families"`
	Type         string   `json:"model_type"`
	FileType     string   `json:"file_type"`
	Architecture string   `json:"architecture"`
	OS           string   `json:"os"`
	RootFS       struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
}

// quantised returns the artifact for ollama of what a tag names. A tag that is none
// chooses one of the models on the default branch by the word in its name: Q4_K_M.
func (c *call) quantised(tag string) (*artifact, error) {
	rev, err := c.revision(tag)
	word := ""
	if errors.Is(err, catalog.ErrNoRevision) {
		word = tag
		rev, err = c.revision(name.DefaultTag)
	}
	if err != nil {
		return nil, err
	}
	f, err := choose(rev, word)
	if err != nil {
		return nil, err
	}
	a, err := c.ollama(rev, f)
	if err != nil {
		return nil, err
	}
	return a, c.remember(rev)
}

// ollama returns the artifact for ollama of a revision with the model f.
func (c *call) ollama(rev *catalog.Revision, f *catalog.File) (*artifact, error) {
	about, err := c.gguf(rev, f)
	if err != nil {
		return nil, err
	}
	d := document{MediaType: mediaDocker, Layers: append([]descriptor{layer(f, ollamaLayer+"model")}, beside(rev)...)}
	conf := ollamaConfig{
		Format: "gguf", Family: about.architecture, Families: []string{about.architecture},
		Type: about.size, FileType: about.fileType, Architecture: "amd64", OS: "linux",
	}
	conf.RootFS.Type = "layers"
	for _, l := range d.Layers {
		conf.RootFS.DiffIDs = append(conf.RootFS.DiffIDs, l.Digest)
	}
	return newArtifact(d, mediaOllamaConfig, conf)
}

// beside returns the layers of what goes with a model: files by their names.
func beside(rev *catalog.Revision) (layers []descriptor) {
	projected := false
	for i := range rev.Files {
		f := &rev.Files[i]
		switch lower := strings.ToLower(f.Path); {
		case isProjector(f.Path) && !projected:
			projected = true
			layers = append(layers, layer(f, ollamaLayer+"projector"))
		case f.Path == "template", f.Path == "system", f.Path == "params":
			layers = append(layers, layer(f, ollamaLayer+f.Path))
		case lower == "license", lower == "license.txt", lower == "license.md":
			layers = append(layers, layer(f, ollamaLayer+"license"))
		}
	}
	return layers
}

func isGGUF(p string) bool { return strings.EqualFold(path.Ext(p), ".gguf") }

// isProjector tells the part of a model that sees from the one that speaks.
func isProjector(p string) bool {
	return isGGUF(p) && strings.Contains(strings.ToLower(path.Base(p)), "mmproj")
}

// part is in the names of models that are cut into several files.
var part = regexp.MustCompile(`-\d{5}-of-\d{5}\.gguf$`)

// models returns the files that are a model each.
func models(rev *catalog.Revision) (list []*catalog.File) {
	for i := range rev.Files {
		f := &rev.Files[i]
		if isGGUF(f.Path) && !isProjector(f.Path) && !part.MatchString(f.Path) && len(list) < maxQuantised {
			list = append(list, f)
		}
	}
	return list
}

// preferred are the words in the name of the model that is meant when none is named.
var preferred = []string{"Q4_K_M", "Q4_0", "Q8_0"}

// choose returns the model that a word names; any if it is empty.
func choose(rev *catalog.Revision, word string) (*catalog.File, error) {
	list := models(rev)
	if len(list) == 0 {
		for i := range rev.Files {
			if part.MatchString(rev.Files[i].Path) {
				return nil, noManifest("%s has its GGUF in several files, which ollama does not load: merge them", rev.Repo)
			}
		}
		return nil, noManifest("%s at %.12s has no GGUF file, which is all that ollama loads", rev.Repo, rev.Commit)
	}
	if word != "" {
		if f := named(list, word); f != nil {
			return f, nil
		}
		return nil, noManifest("%s has no tag %.128q, and on %s no GGUF file with that in its name", rev.Repo, word, name.DefaultTag)
	}
	for _, word := range preferred {
		if f := named(list, word); f != nil {
			return f, nil
		}
	}
	return list[0], nil
}

// named returns the first model with a word in its path.
func named(list []*catalog.File, word string) *catalog.File {
	form := regexp.MustCompile(`(?i)(^|[-._/])` + regexp.QuoteMeta(word) + `([-./]|$)`)
	for _, f := range list {
		if form.MatchString(f.Path) {
			return f
		}
	}
	return nil
}

// gguf reads what a model says of itself.
func (c *call) gguf(rev *catalog.Revision, f *catalog.File) (aboutGGUF, error) {
	content, err := c.source.Open(c.r.Context(), rev, f)
	if err != nil {
		return aboutGGUF{}, err
	}
	defer func() { _ = content.Close() }() // it was only read
	var head bytes.Buffer
	if err := content.Send(c.r.Context(), &head, 0, min(content.Size(), maxHead)); err != nil {
		return aboutGGUF{}, err
	}
	return readGGUF(head.Bytes()), nil
}
