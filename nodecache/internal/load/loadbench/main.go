// Command loadbench loads a model file from the disk tier into the RAM tier, as
// often as it is told: the side of integration/loaders that is ingot's.
//
//	loadbench [-form plain|encoded] DIR FILE
//
// It puts the chunks of FILE into a disk tier in DIR, if they are not there, and
// says "ready". Then, for each line on standard input, it loads them until all are
// in populated memory, says how many seconds that took, and the CRC-32 of the
// tensors' bytes in RAM, taken off the clock. The RAM tier is empty whenever the
// clock starts, its segments and their pages included.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/chunker/format"
	"github.com/ingot-ml/ingot/nodecache/internal/disk"
	"github.com/ingot-ml/ingot/nodecache/internal/load"
	"github.com/ingot-ml/ingot/nodecache/internal/plan"
	"github.com/ingot-ml/ingot/nodecache/internal/ram"
	"github.com/ingot-ml/ingot/registry/manifest"
)

func main() {
	form := flag.String("form", "plain", "form of the chunks on the disk: plain or encoded")
	flag.Parse()
	if err := run(*form, flag.Arg(0), flag.Arg(1)); err != nil {
		fmt.Fprintln(os.Stderr, "loadbench:", err)
		os.Exit(1)
	}
}

func run(form, dir, file string) error {
	ctx := context.Background()
	store, err := disk.Open(disk.Config{Dir: dir, Budget: 1 << 40, Form: forms[form], Logger: slog.Default()})
	if err != nil {
		return err
	}
	m, err := fill(ctx, store, file)
	if err != nil {
		return fmt.Errorf("put %s into the disk tier: %w", file, err)
	}
	fmt.Println("ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if err := once(ctx, store, m); err != nil {
			return fmt.Errorf("load %s: %w", file, err)
		}
	}
	return store.Close()
}

var forms = map[string]disk.Form{"plain": disk.Plain, "encoded": disk.Encoded}

// fill puts a file into the disk tier.
func fill(ctx context.Context, store *disk.Store, path string) (*manifest.Manifest, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it is only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	structure, err := format.Open(filepath.Base(path), f, info.Size())
	if err != nil {
		return nil, err
	}
	file := manifest.File{Path: filepath.Base(path), Size: uint64(info.Size()), Format: structure.Format}
	for _, t := range structure.Tensors {
		file.Tensors = append(file.Tensors, manifest.Tensor{
			Name: t.Name, DType: t.DType, Shape: t.Shape, Offset: uint64(t.Offset), Length: uint64(t.Length),
		})
	}
	var refs []chunker.Ref
	buf := make([]byte, chunker.MaxSize)
	for cut, err := range structure.Cuts(f) {
		if err != nil {
			return nil, err
		}
		plain := buf[:cut.Length]
		if _, err := f.ReadAt(plain, cut.Offset); err != nil {
			return nil, err
		}
		ref := chunker.Ref{Digest: chunker.Sum(plain), Size: uint32(cut.Length)}
		refs = append(refs, ref)
		if store.Has(ref.Digest) {
			continue
		}
		if err := store.Put(ctx, ref, plain, codec.Append(nil, plain, cut.DType)); err != nil {
			return nil, err
		}
	}
	b := manifest.NewBuilder()
	b.Add(file, refs)
	return b.Build(chunker.Digest{}, nil)
}

// once loads the version into an empty RAM tier.
func once(ctx context.Context, store *disk.Store, m *manifest.Manifest) (err error) {
	tier, err := ram.Open(ram.Config{Budget: 2*int64(m.ChunkBytes()) + 1<<30, Huge: true})
	if err != nil {
		return err
	}
	defer func() {
		if e := tier.Close(); err == nil {
			err = e
		}
	}()
	domain := tier.Domain("bench")
	began := time.Now()
	p := plan.Make(m, []plan.Have{{Source: plan.RAM, Has: domain.Has}, {Source: plan.Disk, Has: store.Has}}, nil)
	_, err = load.Run(ctx, load.Order{
		Manifest: m, Plan: p, RAM: domain, Disk: store, Source: store, Flights: load.NewFlights(),
	})
	if err != nil {
		return err
	}
	seconds := time.Since(began).Seconds()
	crc, err := checksum(ctx, domain, m)
	if err == nil {
		fmt.Printf("%.6f %08x\n", seconds, crc)
	}
	return err
}

// checksum reads what lies behind the header in RAM.
func checksum(ctx context.Context, domain *ram.Domain, m *manifest.Manifest) (crc uint32, err error) {
	f := &m.Files[0]
	buf := make([]byte, 0, chunker.MaxSize)
	for offset, c := range m.Extents(f) {
		plain, err := domain.Read(ctx, m.Chunks[c], buf)
		if err != nil {
			return 0, err
		}
		if header := f.Tensors[0].Offset; offset < header {
			plain = plain[min(header-offset, uint64(len(plain))):]
		}
		crc = crc32.Update(crc, crc32.IEEETable, plain)
	}
	return crc, nil
}
