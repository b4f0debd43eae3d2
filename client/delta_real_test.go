package client_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
)

// TestRealRegistryDeltas goes through the life of some checkpoints: each is stored and sent
// as what changed, and comes as that, from any to any.
func TestRealRegistryDeltas(t *testing.T) {
	noLeaks(t)
	r, places := real(t, nil), filepath.Join(t.TempDir(), "places")
	run, err := synth.NewRun(t.Context(), synth.ForSize(littleBytes))
	if err != nil {
		t.Fatal(err)
	}
	const steps = 3
	dirs := make([]string, steps)
	pushed := make([]client.Receipt, steps)
	for i := range steps {
		if i > 0 {
			if err := run.Train(t.Context(), uint64(i), .02); err != nil {
				t.Fatal(err)
			}
		}
		dirs[i] = filepath.Join(t.TempDir(), "checkpoint")
		if err := run.Write(t.Context(), dirs[i]); err != nil {
			t.Fatal(err)
		}
		o := client.PushOptions{Places: places}
		if i > 0 {
			o.Parent = digestOf(t, pushed[i-1])
		}
		pushed[i] = push(t, r, dirs[i], "acme/run", o)
		if got := pushed[i]; i > 0 {
			if most := got.BytesTotal / 50; got.BytesSent > most || got.BytesStored > 2*most || got.ChunksDelta < got.ChunksNew*3/4 {
				t.Errorf("checkpoint %d: sent %d, stored %d of %d bytes, %d of %d chunks as deltas",
					i, got.BytesSent, got.BytesStored, got.BytesTotal, got.ChunksDelta, got.ChunksNew)
			}
		}
	}
	version := func(i int) string { return "acme/run@" + pushed[i].Digest }
	fresh := filepath.Join(t.TempDir(), "fresh")
	got := pull(t, r, version(steps-1), fresh, client.PullOptions{})
	sameTree(t, fresh, dirs[steps-1])
	if got.ChunksDelta == 0 || got.BytesReceivedBase == 0 || got.BytesReceived > got.BytesTotal {
		t.Errorf("pull of all: %d deltas, %d bytes of bases, %d in all", got.ChunksDelta, got.BytesReceivedBase, got.BytesReceived)
	}
	for _, way := range [][2]int{{0, 2}, {2, 1}} {
		t.Run(fmt.Sprint(way[0], " to ", way[1]), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "model")
			o := client.PullOptions{Places: places}
			pull(t, r, version(way[0]), dir, o)
			got := pull(t, r, version(way[1]), dir, o)
			sameTree(t, dir, dirs[way[1]])
			if most := got.BytesTotal / 20; got.BytesReceived > most || got.BytesReceivedBase != 0 || got.BasesWrong != 0 {
				t.Errorf("received %d of %d bytes, %d of bases, %d were wrong", got.BytesReceived, got.BytesTotal, got.BytesReceivedBase, got.BasesWrong)
			}
		})
	}
	if _, err := r.Verify(t.Context(), ref(t, "acme/run"), client.VerifyOptions{}); err != nil {
		t.Error(err)
	}
}

// TestRealRegistryParts pushes a version in two parts, of which each has its own base.
func TestRealRegistryParts(t *testing.T) {
	noLeaks(t)
	r, places := real(t, nil), filepath.Join(t.TempDir(), "places")
	to := ref(t, "acme/parts")
	begin := func() string {
		id, err := r.StartPush(t.Context(), to.Repo)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	part := func(id, dir string, o client.PushOptions) ([]byte, client.Receipt) {
		o.Places = places
		fragment, got, err := r.UploadPart(t.Context(), id, dir, to, o)
		if err != nil {
			t.Fatal(err)
		}
		return fragment, got
	}
	// Two ranks hold a slice of each tensor, under the same names.
	ranks := func(step int) (dirs []string) {
		for rank := range 2 {
			dir := filepath.Join(t.TempDir(), "rank")
			changes := []synth.Change{synth.ChangeLayers(uint64(rank+1), 0, 1)}
			if step > 0 {
				changes = append(changes, synth.Train(uint64(step), .02))
			}
			if err := synth.Write(t.Context(), filepath.Join(dir, fmt.Sprint("rank", rank)), synth.ForSize(littleBytes), changes...); err != nil {
				t.Fatal(err)
			}
			dirs = append(dirs, dir)
		}
		return dirs
	}
	var first client.Receipt
	for step := range 2 {
		id, dirs := begin(), ranks(step)
		var o client.PushOptions
		if step > 0 {
			o.Parent = digestOf(t, first)
		}
		var fragments [][]byte
		for _, dir := range dirs {
			fragment, got := part(id, dir, o)
			fragments = append(fragments, fragment)
			if most := got.BytesTotal / 30; step > 0 && (got.BytesSent > most || got.ChunksDelta == 0) {
				t.Errorf("a part of the second: sent %d of %d bytes, %d deltas", got.BytesSent, got.BytesTotal, got.ChunksDelta)
			}
		}
		got, err := r.CommitParts(t.Context(), id, to, fragments, o)
		if err != nil {
			t.Fatal(err)
		}
		first = got
		dir := filepath.Join(t.TempDir(), "whole")
		pull(t, r, "acme/parts", dir, client.PullOptions{})
		for rank := range dirs {
			sub := fmt.Sprint("rank", rank)
			sameTree(t, filepath.Join(dir, sub), filepath.Join(dirs[rank], sub))
		}
	}
	id, dirs := begin(), ranks(2)
	fragment, _ := part(id, dirs[0], client.PushOptions{})
	for what, bad := range map[string]struct {
		id        string
		to        string
		fragments [][]byte
		want      error
	}{
		"a path twice":       {id, "acme/parts", [][]byte{fragment, fragment}, client.ErrInput},
		"no fragment":        {id, "acme/parts", [][]byte{[]byte("{}")}, client.ErrInput},
		"another repository": {id, "acme/other", [][]byte{fragment}, client.ErrInput},
		"another push":       {begin(), "acme/parts", [][]byte{fragment}, &openapi.Error{Code: openapi.CodeMissingChunks}},
		"no push":            {strings.Repeat("0", 20), "acme/parts", [][]byte{fragment}, &openapi.Error{Code: openapi.CodeNotFound}},
	} {
		if _, err := r.CommitParts(t.Context(), bad.id, ref(t, bad.to), bad.fragments, client.PushOptions{}); !errors.Is(err, bad.want) {
			t.Errorf("%s: %v, want %v", what, err, bad.want)
		}
	}
}
