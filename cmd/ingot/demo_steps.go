package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/registry/name"
)

// demoColumns are the widths of the tables: their rows are printed one by one, as
// they come about.
const demoColumns = "%-*s  %10s  %10s  %10s  %12s  %8s\n"

func (d *demo) row(cells ...string) {
	if d.p.json {
		return
	}
	width := 5
	for _, m := range d.models {
		width = max(width, len(m.Name))
	}
	d.p.printf(demoColumns, width, cells[0], cells[1], cells[2], cells[3], cells[4], cells[5])
}

// of spells a part of a whole number.
func of(part, whole int) string { return fmt.Sprintf("%d of %d", part, whole) }

// pushAll pushes the models, each variant with the base as its parent.
func (d *demo) pushAll(ctx context.Context) error {
	d.row("push", "plain", "sent", "stored", "new chunks", "seconds")
	var base chunker.Digest
	for _, m := range d.models {
		if err := d.push(ctx, m, base); err != nil {
			return fmt.Errorf("push %s: %w", m.Name, err)
		}
		got := m.Push
		d.row(m.Name, size(got.BytesTotal), size(got.BytesSent), size(got.BytesStored), of(got.ChunksNew, got.ChunksTotal), fmt.Sprintf("%.2f", got.Seconds))
		if !base.IsZero() {
			continue
		}
		var err error
		if base, err = chunker.ParseDigest(got.Digest); err != nil {
			return fmt.Errorf("push %s: %w", m.Name, err)
		}
	}
	return nil
}

// push pushes one model, and forgets its files if they were made for this: only
// their sums are needed later, and large models fill disks. Those of the base stay, for
// the others are sent as differences from it.
func (d *demo) push(ctx context.Context, m *demoModel, base chunker.Digest) error {
	made := filepath.Join(d.dir, "models", m.Name)
	path, err := m.files(ctx, d.p, made)
	if err != nil {
		return err
	}
	err = d.p.watch("pushing "+m.Name, func(progress client.Progress) (err error) {
		m.Push, err = d.registry.Push(ctx, path, d.ref(m), client.PushOptions{Parent: base, Places: filepath.Join(d.dir, "places"), Progress: progress})
		return err
	})
	if err != nil {
		return err
	}
	if m.sums, err = fileSums(ctx, path); err != nil {
		return err
	}
	if base.IsZero() {
		return nil
	}
	return os.RemoveAll(made)
}

func (d *demo) ref(m *demoModel) name.Ref { return name.Ref{Repo: d.repo, Tag: m.Name} }

// pullAll pulls the models into fresh folders, with one cache, and compares what
// came with what was pushed.
func (d *demo) pullAll(ctx context.Context) error {
	if !d.p.json {
		d.p.printf("\n")
	}
	d.row("pull", "plain", "received", "reused", "equal files", "seconds")
	for _, m := range d.models {
		if err := d.pull(ctx, m); err != nil {
			return fmt.Errorf("pull %s: %w", m.Name, err)
		}
		got := m.Pull
		d.row(m.Name, size(got.BytesTotal), size(got.BytesReceived), size(got.BytesReused), of(m.Equal, len(m.sums)), fmt.Sprintf("%.2f", got.Seconds))
	}
	return nil
}

func (d *demo) pull(ctx context.Context, m *demoModel) error {
	dir := filepath.Join(d.dir, "pulled", m.Name)
	err := d.p.watch("pulling "+m.Name, func(progress client.Progress) (err error) {
		m.Pull, err = d.registry.Pull(ctx, d.ref(m), dir, client.PullOptions{Cache: d.cache, Progress: progress})
		return err
	})
	if err != nil {
		return err
	}
	pulled, err := fileSums(ctx, dir)
	if err != nil {
		return err
	}
	if m.Equal, err = m.compare(pulled); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// conclude prints what it all took, beside what whole copies would.
func (d *demo) conclude() error {
	var total, stored, received int64
	files := 0
	for _, m := range d.models {
		total += m.Push.BytesTotal
		stored += m.Push.BytesStored
		received += m.Pull.BytesReceived
		files += m.Equal
	}
	if files == 0 {
		return errors.New("the models have no files, so nothing was shown; name folders that have some")
	}
	if d.p.json {
		return d.p.printJSON(map[string]any{"models": d.models, "bytes_total": total, "bytes_stored": stored, "node": d.node})
	}
	d.p.printf("\n%s take %s as whole copies. Ingot stored %s: %s.\n",
		count(len(d.models), "version"), size(total), size(stored), percent(stored, total))
	d.p.printf("Pulling all of them received %s. %d files compared by sha256.\n", size(received), files)
	if d.node.RAM > 0 {
		d.p.printf("An agent holds all of them in %s of memory and %s of disk; using one takes %.1f ms and no copy.\n",
			size(d.node.RAM), size(d.node.Disk), d.node.Seconds*1000)
	}
	d.p.printf("Every file came back byte for byte.\n")
	return nil
}
