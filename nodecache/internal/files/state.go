package files

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/registry/name"
)

// stateName is the name under which the store keeps what a Keeper knows, and
// stateVersion what the document begins with.
const (
	stateName    = "files.json"
	stateVersion = 1
)

// state is what a Keeper has to know after a restart: docs/formats/node.md.
type state struct {
	Version  int            `json:"version"`
	Dir      string         `json:"dir"`
	Versions []versionState `json:"versions"`
	Models   []modelState   `json:"models"`
}

// versionState is a version of which files are, or were about to be, in the folder.
type versionState struct {
	Repo    name.Repo      `json:"repo"`
	Version chunker.Digest `json:"version"`
	Commit  string         `json:"commit"`
	Tag     string         `json:"tag,omitempty"` // by which it was asked for last
	Made    time.Time      `json:"made"`
	Bytes   int64          `json:"bytes"`
	Parts   []partState    `json:"parts"`
}

type partState struct {
	Name chunker.Digest `json:"name"`
	Size uint32         `json:"bytes"`
}

// modelState is what a reference was last made.
type modelState struct {
	Ref     name.Ref       `json:"ref"`
	Version chunker.Digest `json:"version"`
}

// save writes the state.
func (k *Keeper) save() error {
	s := state{Version: stateVersion, Dir: k.tree.Dir(), Versions: []versionState{}, Models: []modelState{}}
	k.mu.Lock()
	for key, v := range k.kept {
		one := versionState{Repo: key.Repo, Version: key.Digest, Commit: v.commit, Tag: v.tag, Made: v.made, Bytes: v.bytes, Parts: []partState{}}
		for _, p := range v.parts {
			one.Parts = append(one.Parts, partState{p.Digest, p.Size})
		}
		s.Versions = append(s.Versions, one)
	}
	for ref, d := range k.done {
		s.Models = append(s.Models, modelState{ref, d})
	}
	k.mu.Unlock()
	slices.SortFunc(s.Versions, func(a, b versionState) int {
		return cmp.Or(cmp.Compare(a.Repo.String(), b.Repo.String()), cmp.Compare(a.Commit, b.Commit))
	})
	slices.SortFunc(s.Models, func(a, b modelState) int { return cmp.Compare(a.Ref.String(), b.Ref.String()) })
	doc, err := json.Marshal(s)
	if err == nil {
		err = k.config.Store.SaveState(stateName, doc)
	}
	if err != nil {
		return fmt.Errorf("save the state of files: %w", err)
	}
	return nil
}

// restore takes up what is in the folder whole, as far as there is room, and removes
// what is not. Of another folder nothing is known.
func (k *Keeper) restore() error {
	doc, err := k.config.Store.State(stateName)
	if err != nil || doc == nil {
		return err
	}
	var s state
	if err := json.Unmarshal(doc, &s); err != nil || s.Version != stateVersion {
		k.config.Logger.Warn("the state of files is of no use: what is in the folder is not accounted for", "dir", k.tree.Dir(), "err", err)
		return nil
	}
	if s.Dir != k.tree.Dir() {
		k.config.Logger.Warn("files are kept in another folder now: those in the former one stay, and are not accounted for", "former", s.Dir, "dir", k.tree.Dir())
		return nil
	}
	if err := k.tree.Clean(); err != nil {
		return err
	}
	for _, v := range s.Versions {
		if err := k.restoreVersion(v); err != nil {
			return err
		}
	}
	k.restoreModels(s.Models)
	return k.save()
}

func (k *Keeper) restoreVersion(s versionState) error {
	v := &kept{commit: s.Commit, bytes: s.Bytes, tag: s.Tag, made: s.Made, whole: true}
	for _, p := range s.Parts {
		v.parts = append(v.parts, chunker.Ref{Digest: p.Name, Size: p.Size})
	}
	key := ledger.Key{Repo: s.Repo, Digest: s.Version}
	if _, whole := k.tree.Snapshot(s.Repo, s.Commit); whole {
		k.note(key, v) // before the account has it, which may drop it at once
		err := k.config.Node.KeepFiles(key, v.parts)
		if err == nil {
			return nil
		}
		k.config.Logger.Warn("files have no room any more and are removed", "repo", s.Repo.String(), "version", s.Version.Short(), "err", err)
		k.mu.Lock()
		delete(k.kept, key)
		k.mu.Unlock()
	}
	return k.tree.Drop(s.Repo, s.Commit)
}

// restoreModels takes up what the models were last made, of those whose files are
// there: the others are made again.
func (k *Keeper) restoreModels(models []modelState) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, m := range models {
		if k.kept[ledger.Key{Repo: m.Ref.Repo, Digest: m.Version}] != nil {
			k.done[m.Ref] = m.Version
		}
	}
}
