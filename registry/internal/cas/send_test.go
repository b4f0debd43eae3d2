package cas_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/ingot-ml/ingot/registry/hub"
	"github.com/ingot-ml/ingot/registry/internal/xet"
)

// chunksOf makes n chunks of different lengths.
func chunksOf(seed byte, n int) (chunks [][]byte) {
	for i := range n {
		chunks = append(chunks, noise(seed+byte(i), 9000+1000*i))
	}
	return chunks
}

// TestSend sends xorbs, and then a shard with files of their chunks.
func TestSend(t *testing.T) {
	w := newWorld(t)
	a := w.grant(alice, model, "", true)
	x, y := makeXorb(chunksOf(1, 5)...), makeXorb(chunksOf(50, 3)...)
	w.want(http.StatusNotFound, "GET", a.URL+"/v1/chunks/default-merkledb/"+x.hash.String(), a.Token, nil)
	if got := w.sendXorb(a, x); !strings.Contains(got, `"was_inserted":true`) {
		t.Errorf("first: %s", got)
	}
	if got := w.sendXorb(a, x); !strings.Contains(got, `"was_inserted":false`) {
		t.Errorf("again: %s", got)
	}
	w.sendXorb(a, y)
	files := []file{
		{{x, 0, 5}},
		{{y, 0, 3}, {x, 1, 3}, {y, 2, 3}},
		{{x, 4, 5}},
	}
	w.sendShard(a, files...)
	w.sendShard(a, files...) // an answer that was lost
	for _, f := range files {
		w.check(alice, model, f.bytes())
	}
	if left, err := os.ReadDir(w.config.Dir); err != nil || len(left) != 0 {
		t.Errorf("%d xorbs lie in the folder, though all of their chunks are stored: %v", len(left), err)
	}
	w.want(http.StatusOK, "POST", a.URL+"/v1/telemetry", a.Token, []byte("{}"))
}

// TestSendV1 is for clients that want one answer.
func TestSendV1(t *testing.T) {
	w := newWorld(t)
	a := w.grant(alice, model, "", true)
	x := makeXorb(chunksOf(1, 2)...)
	w.sendXorb(a, x)
	got := w.want(http.StatusOK, "POST", a.URL+"/v1/shards", a.Token, makeShard(nil, file{{x, 0, 2}}))
	if strings.TrimSpace(string(got)) != `{"result":1}` {
		t.Errorf("%s", got)
	}
	w.check(alice, model, x.all)
}

// TestRestart goes on with an upload after the process was ended.
func TestRestart(t *testing.T) {
	w := newWorld(t)
	x := makeXorb(chunksOf(1, 3)...)
	w.sendXorb(w.grant(alice, model, "", true), x)
	w.start()
	a := w.grant(alice, model, "", true)
	w.sendShard(a, file{{x, 1, 3}})
	w.check(alice, model, file{{x, 1, 3}}.bytes())
	// The first chunk is of no file yet, so the xorb is not put away.
	w.start()
	w.sendShard(w.grant(alice, model, "", true), file{{x, 0, 1}})
	w.check(alice, model, file{{x, 0, 1}}.bytes())
	if left, err := os.ReadDir(w.config.Dir); err != nil || len(left) != 0 {
		t.Errorf("%d xorbs lie in the folder, though all of their chunks are stored: %v", len(left), err)
	}
}

// TestAgain names xorbs that the client has sent before, for other models, after the
// folder has lost them: their chunks lie in files.
func TestAgain(t *testing.T) {
	w := newWorld(t)
	a := w.grant(alice, model, "", true)
	x, y := makeXorb(chunksOf(1, 6)...), makeXorb(chunksOf(70, 2)...)
	w.sendXorb(a, x)
	w.sendXorb(a, y)
	w.sendShard(a, file{{x, 0, 2}, {y, 0, 2}}, file{{y, 0, 1}, {x, 2, 6}})
	w.config.Dir = t.TempDir()
	w.start()
	a = w.grant(alice, other, "", true)
	z := makeXorb(chunksOf(90, 1)...)
	w.sendXorb(a, z)
	f := file{{x, 1, 5}, {z, 0, 1}, {y, 1, 2}} // chunks 1 to 5 lie in two files
	w.sendShard(a, f)
	w.check(alice, other, f.bytes())
	// And bob, who may read both models, knows the xorbs too.
	b := w.grant(bob, other, "", true)
	f = file{{x, 0, 6}}
	w.sendShard(b, f)
	w.check(bob, other, f.bytes())
}

// TestLost names xorbs that nobody has, or only in a model that the caller does not
// know of. The client is told, and gets another address, for which it remembers
// nothing.
func TestLost(t *testing.T) {
	w := newWorld(t)
	x, hidden := makeXorb(chunksOf(1, 3)...), makeXorb(chunksOf(9, 3)...)
	a := w.grant(alice, secret, "", true)
	w.sendXorb(a, hidden)
	w.sendShard(a, file{{hidden, 0, 3}})
	for _, lost := range []*xorb{x, hidden} {
		b := w.grant(bob, model, "", true)
		shard := makeShard(nil, file{{lost, 0, 3}})
		got := lastEvent(t, w.want(http.StatusOK, "POST", b.URL+"/v2/shards", b.Token, shard))
		if got["type"] != "error" || got["retryable"] != false || !strings.Contains(got["message"].(string), "run the upload again") {
			t.Errorf("%v", got)
		}
		second := w.grant(bob, model, "", true)
		if second.URL == b.URL {
			t.Error("the address is the same")
		}
		w.want(http.StatusNotFound, "POST", b.URL+"/v1/shards", b.Token, shard)
		if third := w.grant(bob, model, "", true); third.URL != second.URL {
			t.Error("another address for a realm that was spent already")
		}
		w.lacks(model, lost.all)
	}
	if again := w.grant(alice, model, "", true); again.URL != a.URL {
		t.Error("alice has another address")
	}
	// What bob sends is his: alice's xorbs are not told of, and hers are not his.
	w.sendXorb(w.grant(bob, model, "", true), x)
	a = w.grant(alice, model, "", true)
	w.want(http.StatusNotFound, "POST", a.URL+"/v1/shards", a.Token, makeShard(nil, file{{x, 0, 3}}))
}

// TestWrongXorbs are not kept.
func TestWrongXorbs(t *testing.T) {
	w := newWorld(t)
	a := w.grant(alice, model, "", true)
	x, y := makeXorb(chunksOf(1, 2)...), makeXorb(chunksOf(9, 2)...)
	url := a.URL + "/v1/xorbs/default/"
	for what, tt := range map[string]struct {
		status int
		name   string
		body   []byte
	}{
		"another name": {http.StatusBadRequest, y.hash.String(), x.body},
		"no name":      {http.StatusBadRequest, "x", x.body},
		"empty":        {http.StatusBadRequest, xet.Hash{}.String(), nil},
		"cut off":      {http.StatusBadRequest, x.hash.String(), x.body[:len(x.body)-1]},
		"too long":     {http.StatusRequestEntityTooLarge, x.hash.String(), append(append([]byte{}, "XETBLOB "...), make([]byte, xet.MaxXorb)...)},
	} {
		resp, got := w.ask("POST", url+tt.name, a.Token, "", tt.body)
		if resp.StatusCode != tt.status {
			t.Errorf("%s: %d %s", what, resp.StatusCode, got)
		}
	}
	for _, lost := range []*xorb{x, y} {
		w.want(http.StatusNotFound, "POST", a.URL+"/v1/shards", a.Token, makeShard(nil, file{{lost, 0, 1}}))
	}
}

// TestWrongShards make no files.
func TestWrongShards(t *testing.T) {
	w := newWorld(t)
	a := w.grant(alice, model, "", true)
	x := makeXorb(chunksOf(1, 3)...)
	w.sendXorb(a, x)
	nth := func(want int, change func([]byte)) func([]byte) {
		n := 0
		return func(record []byte) {
			if n == want {
				change(record)
			}
			n++
		}
	}
	number := func(i, v int) func([]byte) {
		return func(r []byte) { binary.LittleEndian.PutUint32(r[xet.HashSize+4*i:], uint32(v)) }
	}
	for what, change := range map[string]func([]byte){
		"another sha256":  nth(2, func(r []byte) { r[0]++ }),
		"another size":    nth(1, number(1, 5)),
		"more chunks":     nth(1, number(3, 4)),
		"chunks from 2":   nth(1, number(2, 2)),
		"far too many":    nth(1, number(3, 1<<20)),
		"more terms":      nth(0, number(1, 1<<30)),
		"no end of terms": nth(0, number(1, 9)),
	} {
		shard := makeShard(change, file{{x, 0, 3}})
		w.want(http.StatusBadRequest, "POST", a.URL+"/v1/shards", a.Token, shard)
		resp, got := w.ask("POST", a.URL+"/v2/shards", a.Token, "", shard)
		if resp.StatusCode != http.StatusBadRequest && lastEvent(t, got)["type"] != "error" {
			t.Errorf("%s: %s", what, got)
		}
		w.lacks(model, x.all)
	}
	w.sendShard(a, file{{x, 0, 3}})
	w.check(alice, model, x.all)
}

// TestTogether has one xorb come, and shards name it, many times at once.
func TestTogether(t *testing.T) {
	w := newWorld(t)
	a := w.grant(alice, model, "", true)
	x := makeXorb(chunksOf(1, 4)...)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { w.sendXorb(a, x) })
	}
	all.Wait()
	for i := range 4 {
		all.Go(func() { w.sendShard(a, file{{x, i, 4}}, file{{x, 0, 4}}) })
	}
	all.Wait()
	for i := range 4 {
		w.check(alice, model, file{{x, i, 4}}.bytes())
	}
}

// TestCutOff is for a client that goes away in the middle of a xorb, or of a shard.
func TestCutOff(t *testing.T) {
	w := newWorld(t)
	a := w.grant(alice, model, "", true)
	x := makeXorb(chunksOf(1, 8)...)
	shard := makeShard(nil, file{{x, 0, 8}})
	gone := errors.New("gone")
	for path, body := range map[string][]byte{"/v1/xorbs/default/" + x.hash.String(): x.body, "/v2/shards": shard} {
		half := io.MultiReader(bytes.NewReader(body[:len(body)/2]), iotest.ErrReader(gone))
		r, err := http.NewRequestWithContext(t.Context(), "POST", a.URL+path, half)
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = int64(len(body))
		r.Header.Set("Authorization", "Bearer "+a.Token)
		if resp, err := http.DefaultClient.Do(r); !errors.Is(err, gone) {
			t.Errorf("%s: %v, %v", path, resp, err)
		}
	}
	w.server.Close() // waits for what is under way
	if left, err := os.ReadDir(w.config.Dir); err != nil || len(left) != 0 {
		t.Errorf("%d files are left: %v", len(left), err)
	}
	w.start()
	a = w.grant(alice, model, "", true)
	w.sendXorb(a, x)
	w.sendShard(a, file{{x, 0, 8}})
	w.check(alice, model, x.all)
}

// TestReplicas has every request come to another replica.
func TestReplicas(t *testing.T) {
	w := newWorld(t)
	w.config.Replicas = true
	next := func() hub.Access {
		w.config.Dir = t.TempDir()
		w.start()
		return w.grant(alice, model, "", true)
	}
	x, y := makeXorb(chunksOf(1, 5)...), makeXorb(chunksOf(50, 3)...)
	w.sendXorb(next(), x)
	w.sendXorb(next(), y)
	w.sendXorb(next(), y) // an answer that was lost
	files := []file{{{x, 0, 5}}, {{y, 1, 3}, {x, 1, 3}}}
	w.sendShard(next(), files...)
	w.sendShard(next(), files...)
	for _, f := range files {
		w.check(alice, model, f.bytes())
	}
	if left, err := os.ReadDir(w.config.Dir); err != nil || len(left) != 0 {
		t.Errorf("%d files are left in the folder: %v", len(left), err)
	}
	// With an address of its own, a replica keeps xorbs to itself.
	z := makeXorb(chunksOf(90, 2)...)
	w.config.Address = "http://replica:7070"
	if a := next(); !strings.HasPrefix(a.URL, w.config.Address+"/xet/") {
		t.Errorf("address %s", a.URL)
	}
	a := w.grant(alice, model, "", true)
	a.URL = strings.Replace(a.URL, w.config.Address, w.server.URL, 1)
	w.sendXorb(a, z)
	if left, err := os.ReadDir(w.config.Dir); err != nil || len(left) != 1 {
		t.Errorf("%d files are in the folder: %v", len(left), err)
	}
}
