package soak_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/integration/faultproxy"
	"github.com/ingot-ml/ingot/integration/needtest"
	"github.com/ingot-ml/ingot/integration/storetest"
)

// TestSoakS3 runs three replicas over one store, of which every round has a part.
func TestSoakS3(t *testing.T) {
	if os.Getenv("INGOT_SOAK") == "" {
		needtest.Skip(t, "soak", "takes minutes: run make soak")
	}
	minio := storetest.MinIO(t)
	soak(t, func(t *testing.T, dir string, seed uint64) backend { return newStore(t, minio, dir, seed) })
}

// store is a prefix of a MinIO, and a proxy before it for each replica.
type store struct {
	t      *testing.T
	dir    string // of replicas' caches
	minio  *storetest.Store
	bucket string
	fronts []*faultproxy.Proxy
}

const (
	threeReplicas = 3
	prefix        = "some/where"
)

func newStore(t *testing.T, minio *storetest.Store, dir string, seed uint64) *store {
	t.Helper()
	s := &store{t: t, dir: dir, minio: minio, bucket: minio.Bucket(t)}
	for i := range threeReplicas {
		p, err := faultproxy.Listen(faultproxy.Config{
			Target: strings.TrimPrefix(minio.Endpoint, "http://"), Seed: seed ^ uint64(i+1)<<32,
			Describe: faultproxy.S3(s.bucket + "/" + prefix), After: [2]time.Duration{time.Second, time.Minute}, Burst: 6,
		})
		if err != nil {
			t.Fatal(err)
		}
		s.fronts = append(s.fronts, p)
	}
	return s
}

func (s *store) replicas() int { return len(s.fronts) }

func (s *store) pace() time.Duration { return 3 * time.Second }

func (s *store) serve(i int) (args, environ []string) {
	at := *s.minio
	at.Endpoint = s.fronts[i].URL()
	args = []string{"--store", at.URL(s.bucket, prefix), "--data", filepath.Join(s.dir, fmt.Sprint("cache-", i)), "--gc-every", "none"}
	switch i {
	case 0:
		args = append(args, "--scrub-every", "1m")
	case 1:
		args = append(args, "--keep-untagged", "1m")
	}
	return args, at.Env()
}

// storeFaults are what happens between a replica and the store.
func storeFaults() []faultproxy.Rule {
	writes := func(c faultproxy.Call) bool { return c.Write() }
	return []faultproxy.Rule{
		{Fault: faultproxy.Reset, PerMille: 2},
		{Fault: faultproxy.Lose, PerMille: 2},
		{Fault: faultproxy.Late, PerMille: 4, Match: writes},
		{Fault: faultproxy.Twice, PerMille: 4, Match: writes},
		{Fault: faultproxy.Delay, PerMille: 5},
		{Fault: faultproxy.Truncate, PerMille: 2, Match: func(c faultproxy.Call) bool { return !c.Write() }},
		{Fault: faultproxy.Conflict, PerMille: 4, Match: func(c faultproxy.Call) bool { return c.Conditional }},
		{Fault: faultproxy.SlowDown, PerMille: 1},
	}
}

func (s *store) disturb(on bool) error {
	for _, p := range s.fronts {
		if on {
			p.Set(storeFaults()...)
			continue
		}
		p.Set()
		p.Settle()
	}
	return nil
}

// strike kills or freezes the server, for no longer than clients are patient.
func (s *store) strike(ctx context.Context, r *rand.Rand, t *tally) {
	long := time.Duration(r.Int64N(int64(3 * time.Second)))
	if r.IntN(2) == 0 {
		t.strike("pause store")
		s.minio.Stop(s.t)
		wait(ctx, long)
		s.minio.Cont(s.t)
		return
	}
	t.strike("kill store")
	s.minio.Kill(s.t)
	wait(ctx, long/3)
	s.minio.Restart(s.t)
}

func (s *store) faults() map[string]int {
	all := map[string]int{}
	for _, p := range s.fronts {
		for f, n := range p.Faults() {
			all["store "+f.String()] += n
		}
	}
	return all
}

func (s *store) close() {
	for _, p := range s.fronts {
		if err := p.Close(); err != nil {
			s.t.Error(err)
		}
	}
}

// readers is how many objects are read at a time.
const readers = 16

// contents reads the bucket: registers whole, and the names of everything else.
func (s *store) contents(ctx context.Context) (*contents, error) {
	c := &contents{registers: map[string][]byte{}, blobs: map[string]int64{}, read: s.read}
	objects, err := s.list(ctx)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var failures error
	keys := make(chan string)
	var all sync.WaitGroup
	for range readers {
		all.Go(func() {
			for key := range keys {
				value, err := s.read("meta/" + key)
				_, value, found := bytes.Cut(value, []byte("\n"))
				if err == nil && !found {
					err = fmt.Errorf("register %s has no first line", key)
				}
				mu.Lock()
				c.registers[key], failures = value, errors.Join(failures, err)
				mu.Unlock()
			}
		})
	}
	for name, size := range objects {
		if key, is := strings.CutPrefix(name, "meta/"); is {
			keys <- key
		} else if name != "ingot.json" {
			c.blobs[name] = size
		}
	}
	close(keys)
	all.Wait()
	return c, failures
}

func (s *store) read(name string) ([]byte, error) {
	status, b := s.minio.Do(s.t, http.MethodGet, s.bucket+"/"+prefix+"/"+name, "", nil)
	if status != http.StatusOK {
		return nil, fmt.Errorf("get %s: status %d", name, status)
	}
	return b, nil
}

// list returns the sizes of all objects below the prefix, by their names below it.
func (s *store) list(ctx context.Context) (map[string]int64, error) {
	sizes, after := map[string]int64{}, ""
	for ctx.Err() == nil {
		query := url.Values{"list-type": {"2"}, "start-after": {after}}
		var page struct {
			IsTruncated bool
			Contents    []struct {
				Key  string
				Size int64
			}
		}
		status, b := s.minio.Do(s.t, http.MethodGet, s.bucket, query.Encode(), nil)
		if err := xml.Unmarshal(b, &page); err != nil || status != http.StatusOK {
			return nil, fmt.Errorf("list %s: status %d, %v", s.bucket, status, err)
		}
		for _, o := range page.Contents {
			name, ours := strings.CutPrefix(o.Key, prefix+"/")
			if !ours {
				return nil, fmt.Errorf("object %s is outside the prefix", o.Key)
			}
			sizes[name], after = o.Size, o.Key
		}
		if !page.IsTruncated {
			return sizes, nil
		}
	}
	return nil, ctx.Err()
}
