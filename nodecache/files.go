package nodecache

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/files"
	"github.com/ingot-ml/ingot/nodecache/internal/hubnode"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/nodecache/internal/node"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// openFiles opens what keeps versions as files.
func (n *Node) openFiles() error {
	k, err := files.Open(files.Config{
		Dir: n.config.Files, Node: n.engine, Source: hubnode.Reading{Source: n.source}, Store: n.disk,
		Models: n.config.asFiles(), Now: time.Now, Logger: n.config.Logger,
	})
	if err == nil {
		n.files.Store(k)
	}
	return err
}

// asFiles are the models that are kept as files.
func (c Config) asFiles() (list []files.Model) {
	for _, m := range c.Models {
		if m.Files {
			list = append(list, files.Model{Ref: m.Ref, Watch: m.Watch})
		}
	}
	return list
}

// dropFiles removes files that have left the account, which has none before there is
// somebody who keeps them.
func (n *Node) dropFiles(k ledger.Key) {
	if keeper := n.files.Load(); keeper != nil {
		keeper.Dropped(k)
	}
}

func (n *Node) moved() {
	if keeper := n.files.Load(); keeper != nil {
		keeper.Moved()
	}
}

// Materialize implements nodeapi.Node.
func (e engine) Materialize(ctx context.Context, ref name.Ref) (openapi.MaterializeReceipt, error) {
	return e.files.Materialize(ctx, ref)
}

// Unload implements nodeapi.Node: what leaves the node leaves it as files too.
func (e engine) Unload(ctx context.Context, ref name.Ref, to openapi.Tier) (openapi.UnloadReceipt, error) {
	receipt, err := e.Node.Unload(ctx, ref, to)
	if to != openapi.TierNone {
		return receipt, err
	}
	if d, ok := e.files.Named(ref); ok && errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) {
		receipt, err = openapi.UnloadReceipt{Ref: ref.String(), Version: d}, nil // it is here as files alone
	}
	if err != nil {
		return receipt, err
	}
	freed, err := e.files.Remove(ref.Repo, receipt.Version)
	receipt.Freed.Disk += freed
	return receipt, err
}

// Status implements nodeapi.Node.
func (e engine) Status() openapi.NodeStatus {
	s := e.Node.Status()
	s.HFCache = e.files.Dir()
	versions, named := e.files.Versions(), map[name.Ref]chunker.Digest{}
	for k, v := range versions {
		named[v.Ref] = k.Digest
	}
	for i := range s.Models {
		m := &s.Models[i]
		ref, err := name.ParseRef(m.Ref)
		if err != nil {
			continue
		}
		d, err := chunker.ParseDigest(m.Version)
		if err != nil {
			d = named[ref] // the registry has not said yet where the reference is
		}
		if v, ok := versions[ledger.Key{Repo: ref.Repo, Digest: d}]; ok {
			m.Files, m.Version, v.Shown = &v.ModelFiles, d.String(), true
			if m.State == openapi.ModelAbsent {
				m.State = openapi.ModelReady
			}
		}
	}
	for k, v := range versions {
		if !v.Shown {
			s.Models = append(s.Models, openapi.ModelStatus{
				Ref: v.Ref.String(), Version: k.Digest.String(), State: openapi.ModelReady, LastUse: v.Made, Files: &v.ModelFiles,
			})
		}
	}
	slices.SortFunc(s.Models, func(a, b openapi.ModelStatus) int { return cmp.Compare(a.Ref, b.Ref) })
	return s
}

var _ files.Node = (*node.Node)(nil)
