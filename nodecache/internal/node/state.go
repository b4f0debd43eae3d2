package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// stateName is the name under which the disk keeps what a node knows, and
// stateVersion what the document begins with.
const (
	stateName    = "state.json"
	stateVersion = 1
)

// saveEvery bounds how often the state is written while it changes.
const saveEvery = 100 * time.Millisecond

// state is what a node has to know after a restart: docs/formats/node.md.
type state struct {
	Version int           `json:"version"`
	Models  []modelState  `json:"models"`
	Clients []clientState `json:"clients"`
}

// modelState is a reference and where it was.
type modelState struct {
	Ref     name.Ref       `json:"ref"`
	Current chunker.Digest `json:"version"`
	Hold    openapi.Tier   `json:"tier"`
	Device  string         `json:"device,omitempty"` // UUID of the GPU on which it was last
	Pin     bool           `json:"pin,omitempty"`
	LastUse time.Time      `json:"last_use"`
}

// saver writes the state after it has changed.
func (n *Node) saver() {
	for {
		rung := n.dirty.Next()
		if err := n.save(); err != nil {
			n.config.Logger.Warn("the state of the node could not be written", "err", err)
		}
		select {
		case <-rung:
		case <-n.ctx.Done():
			return
		}
		timer := time.NewTimer(saveEvery)
		select {
		case <-timer.C:
		case <-n.ctx.Done():
		}
		timer.Stop()
	}
}

// save writes the state.
func (n *Node) save() error {
	doc, err := json.Marshal(n.state())
	if err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	if err := n.config.Disk.SaveState(stateName, doc); err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	n.weighDocuments()
	return nil
}

func (n *Node) state() state {
	models, users := n.inUse()
	return state{Version: stateVersion, Models: models, Clients: clients(users)}
}

// inUse returns the references of which something is to be known later, and who
// uses which memory.
func (n *Node) inUse() (models []modelState, users []user) {
	n.mu.Lock()
	defer n.mu.Unlock()
	models = []modelState{}
	for _, m := range n.models {
		for l := range m.leases {
			if l.window == nil && (l.job == nil || l.job.ended) {
				users = append(users, user{pid: l.order.PID, lease: l})
			}
		}
		if m.current.IsZero() || n.versions[m.key(m.current)].tier() == openapi.TierNone && !m.Pin {
			continue
		}
		models = append(models, modelState{m.Ref, m.current, m.hold, m.device, m.Pin, m.lastUse})
	}
	for _, o := range n.orphans {
		for pid := range o.pids {
			users = append(users, user{pid: pid, segment: segmentState(o.segment)})
		}
		for d := range o.held {
			users = append(users, user{pid: d.pid, segment: segmentState(o.segment)})
		}
	}
	slices.SortFunc(models, func(a, b modelState) int { return a.LastUse.Compare(b.LastUse) })
	return models, users
}

// restore takes up what a former node has left on the disk. Versions of which
// something is missing are not served; their chunks stay until their room is
// needed, so that a load goes on from them.
func (n *Node) restore() error {
	doc, err := n.config.Disk.State(stateName)
	if err != nil {
		return fmt.Errorf("read the state of the node: %w", err)
	}
	var s state
	if doc != nil {
		if err := json.Unmarshal(doc, &s); err != nil {
			n.config.Logger.Warn("the state of the node is damaged: versions on the disk are found again when they are asked for", "err", err)
			s = state{}
		} else if s.Version != stateVersion {
			return fmt.Errorf("the node's folder was written by another ingot (state version %d, this one knows %d)", s.Version, stateVersion)
		}
	}
	for _, m := range s.Models {
		n.restoreModel(m)
	}
	for d, size := range n.config.Disk.Chunks() {
		if c := (ledger.Chunk{Digest: d}); !n.disk.ledger.Holds(c) {
			n.disk.ledger.AddLoose(c, size)
		}
	}
	n.dropUnknownManifests()
	n.weighDocuments()
	n.disk.trim(n.config.DiskLimits.Bytes)
	n.restoreClients(s.Clients)
	return nil
}

// restoreModel takes up one reference.
func (n *Node) restoreModel(s modelState) {
	m := n.model(s.Ref)
	m.current, m.target, m.device, m.lastUse = s.Current, s.Current, s.Device, s.LastUse
	m.Pin = m.Pin || s.Pin
	if !m.kept {
		m.hold = s.Hold
	}
	k := m.key(s.Current)
	if n.version(k).disk {
		return
	}
	if err := n.restoreVersion(k); err != nil {
		n.config.Logger.Info("version is not whole on the disk", "ref", s.Ref.String(), "version", s.Current.Short(), "err", err)
		delete(n.versions, k)
		return
	}
	n.disk.ledger.Pin(k, m.Pin)
}

// restoreVersion admits a version to the disk of which all is there. The versions
// come in the order in which they were used.
func (n *Node) restoreVersion(k ledger.Key) error {
	if err := n.config.Trust.CheckHere(k.Repo, k.Digest); err != nil {
		return err
	}
	doc, err := n.config.Disk.Manifest(k.Digest)
	if err != nil {
		return err
	}
	m, err := manifest.Parse(doc)
	if err != nil {
		return err
	}
	for _, c := range m.Chunks {
		if !n.config.Disk.Has(c.Digest) {
			return errors.New("chunks are missing")
		}
	}
	if err := n.disk.try(ledger.Entry{Key: k, Chunks: m.Chunks}); err != nil {
		return err
	}
	n.disk.release(k)
	v := n.version(k)
	v.disk, v.total, v.chunks = true, int64(m.ChunkBytes()), len(m.Chunks)
	return nil
}

// dropUnknownManifests drops documents of versions that are not served.
func (n *Node) dropUnknownManifests() {
	known := map[chunker.Digest]bool{}
	for k := range n.versions {
		known[k.Digest] = true
	}
	for d := range n.config.Disk.Manifests() {
		if !known[d] {
			n.config.Disk.DropManifest(d)
		}
	}
}

// documents is the name under which the account of the disk has what is no chunk.
const documents = "manifests and state"

func (n *Node) weighDocuments() {
	n.disk.ledger.Hold(documents, n.config.Disk.DocumentBytes())
}
