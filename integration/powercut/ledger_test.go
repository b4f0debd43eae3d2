package powercut_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/registry/name"
)

// state is what a client knows of a version that it pushed.
type state int

const (
	acknowledged state = iota
	removing           // it is removed, or not: the answer was lost
	removed            // and that was acknowledged
)

// claim is a version that was acknowledged.
type claim struct {
	number int
	digest chunker.Digest
	state  state
}

// ledger is what one pusher knows, all of it outside of the disk. A repository has one
// pusher, so what its tag may point at is known too.
type ledger struct {
	repo name.Repo
	seed uint64

	mu         sync.Mutex // protects the fields below
	claims     []*claim   // ascending
	pushed     int        // the number of the last push, acknowledged or not
	unanswered []int      // pushes whose answers were lost, which may all be there
	acks       int        // pushes that were acknowledged in this round
	removals   int        // and removals
}

// newest returns the number of the newest version that was acknowledged, -1 for none.
func (l *ledger) newest() int {
	if len(l.claims) == 0 {
		return -1
	}
	return l.claims[len(l.claims)-1].number
}

// content is what a version holds: a file that all versions of the pusher share, which
// is a chunk of its own, a few small files, which become a bundle, and in every third
// version a file that is a chunk of its own.
func (l *ledger) content(number int) map[string][]byte {
	files := map[string][]byte{"shared.bin": random(l.seed, 0, 300<<10)}
	r := rand.New(rand.NewPCG(l.seed, uint64(number)+1))
	for i := range 1 + r.IntN(3) {
		files[fmt.Sprintf("small-%d.bin", i)] = random(r.Uint64(), 1, 1+r.IntN(8<<10))
	}
	if number%3 == 0 {
		files["own.bin"] = random(r.Uint64(), 2, 256<<10+r.IntN(64<<10))
	}
	return files
}

func random(seed, stream uint64, n int) []byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	binary.LittleEndian.PutUint64(key[8:], stream)
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(b) // it never fails
	return b
}

// write makes the folder of a version.
func (l *ledger) write(dir string, number int) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	for path, content := range l.content(number) {
		if err := os.WriteFile(filepath.Join(dir, path), content, 0o666); err != nil {
			return err
		}
	}
	return nil
}

// compare pulls a version and compares every byte of it with what was pushed.
func (l *ledger) compare(ctx context.Context, r *client.Registry, ref name.Ref, number int) error {
	dir, err := os.MkdirTemp("", "powercut-pull-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // of no use to anybody
	if _, err := r.Pull(ctx, ref, dir, client.PullOptions{}); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	want := l.content(number)
	for path, content := range want {
		if got, err := os.ReadFile(filepath.Join(dir, path)); err != nil || !bytes.Equal(got, content) {
			return errors.Join(fmt.Errorf("%s has wrong bytes", path), err)
		}
	}
	if len(entries) != len(want) {
		return fmt.Errorf("it has %d files, want %d", len(entries), len(want))
	}
	return nil
}
