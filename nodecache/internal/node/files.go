package node

import (
	"context"
	"fmt"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
)

// What is told here of files is kept by whoever makes them, see Config.DropFiles: the
// node sees to it that they and everything else on the disk have room together.

// filesDomain is that of files in the account of the disk: they share no room with
// chunks.
const filesDomain = "files"

// AdmitFiles makes room on the disk for the files of a version, which parts are: of
// two versions that have one, it counts once. It waits for room until ctx ends. They
// stay until ReleaseFiles, and then as long as there is room, or with their version if
// that is pinned.
func (n *Node) AdmitFiles(ctx context.Context, k ledger.Key, parts []chunker.Ref) error {
	bounded, cancel := n.within(ctx, 0)
	defer cancel()
	err := n.disk.admit(bounded, ledger.Entry{Key: k.AsFiles(), Domain: filesDomain, Chunks: parts})
	if err != nil {
		return told(fmt.Sprintf("make room for the files of %s", k), err)
	}
	n.repin(k)
	return nil
}

// KeepFiles is AdmitFiles and ReleaseFiles for files that are there, if there is room.
func (n *Node) KeepFiles(k ledger.Key, parts []chunker.Ref) error {
	if err := n.disk.try(ledger.Entry{Key: k.AsFiles(), Domain: filesDomain, Chunks: parts}); err != nil {
		return err
	}
	n.repin(k)
	n.ReleaseFiles(k)
	return nil
}

// ReleaseFiles says that nobody works on the files of a version any more.
func (n *Node) ReleaseFiles(k ledger.Key) { n.disk.release(k.AsFiles()) }

// RemoveFiles has the files of a version dropped, if there are any and nobody works on
// them or leases the version. The bytes are what that frees.
func (n *Node) RemoveFiles(k ledger.Key) (freed int64, err error) {
	if !n.disk.ledger.Has(k.AsFiles()) {
		return 0, nil
	}
	freed, err = n.disk.remove(k.AsFiles())
	return freed, told(fmt.Sprintf("drop the files of %s", k), err)
}

// WeighFiles returns the bytes that the files of all versions take.
func (n *Node) WeighFiles() int64 { return n.disk.ledger.In(filesDomain) }

// dropFiles has the files dropped that have left the account.
func (n *Node) dropFiles(k ledger.Key) {
	if n.config.DropFiles != nil {
		n.config.DropFiles(ledger.Key{Repo: k.Repo, Digest: k.Digest})
	}
}
